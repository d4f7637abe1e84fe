"""Files of variables: a line each, `NAME=value`; a name alone is the variable of that name outside, if there is one.

Lines that are empty or begin with `#` say nothing. A value is what stands after the `=`, quotes and blanks with it.
"""

from collections.abc import Mapping

from skep.ports.stack_files import StackFileError


def read_variables(text: bytes, file: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a file, in its order; `env` are those outside.

    Raises:
        StackFileError: a line is none of the above.
    """
    try:
        lines = text.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise StackFileError(f"{file}: is not UTF-8: {error.reason} at byte {error.start}") from None
    found: dict[str, str] = {}
    for number, raw in enumerate(lines, 1):
        line = raw.removesuffix("\r").lstrip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name or any(blank in name for blank in " \t"):
            raise StackFileError(f"{file}: line {number}: must be NAME=value, and the name has no blanks")
        if equals:
            found[name] = value
        elif name in env:
            found[name] = env[name]
    return found
