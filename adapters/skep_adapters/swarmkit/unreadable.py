"""What a worker said that cannot be taken."""

#: Docker's own ids have 64 characters, skep's 25.
ID_MAX = 128


class Unreadable(Exception):
    """A message of a worker's breaks the protocol or a bound. Its text names the field, never its content."""


def check_id(text: str, field: str) -> str:
    """Return an id that is not too long.

    Raises:
        Unreadable: it is.
    """
    if len(text) > ID_MAX:
        raise Unreadable(f"{field} has {len(text)} characters")
    return text
