"""The anchor: the position and digest that the log is known to have reached, in a file apart from it.

The log's own files cannot tell a log that lost its end from one that never had it; this file can.
"""

from pathlib import Path

import msgspec
from skep.model.ids import Position
from skep.ports.event_log import GENESIS, Head, LogDamaged

from skep_adapters.sqlite.files import failed, replace_durably


class _Anchor(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    position: int
    digest: str


def write_anchor(path: Path, head: Head) -> None:
    """Note `head` durably; all or nothing."""
    replace_durably(path, msgspec.json.encode(_Anchor(head.position, head.digest.hex())), b"\n")


def read_anchor(path: Path) -> Head:
    """Return what was noted last, or the log's beginning if nothing ever was.

    Raises:
        LogDamaged: the file is not what `write_anchor` writes.
        LogError: it cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Head(Position(0), GENESIS)
    except OSError as error:
        raise failed("read", path, error) from error
    try:
        anchor = msgspec.json.decode(content, type=_Anchor)
        digest = bytes.fromhex(anchor.digest)
    except ValueError as error:  # msgspec's errors are ValueErrors too
        raise LogDamaged(f"{path} is damaged, so where the log must end is not known: {error}", position=0) from error
    if anchor.position < 0 or len(digest) != len(GENESIS):
        raise LogDamaged(f"{path} is damaged, so where the log must end is not known", position=0)
    return Head(Position(anchor.position), digest)
