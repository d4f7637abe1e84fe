"""Which part of 127.0.0.0/8 is this process's: programs that run tasks on one machine must not give the same addresses.

A block is claimed by a name among the machine's abstract sockets, which live in the same network namespace as the
addresses do, need no directory, and are free again however the process ends.
"""

import errno
import socket

#: The second bytes of the blocks: not 0, where 127.0.0.1 is and what resolvers and host names use.
_BLOCKS = range(100, 250)


class Claim:
    """A block, held until it is closed."""

    def __init__(self, block: str, held: socket.socket) -> None:
        self.block = block
        self._held = held

    def close(self) -> None:
        """Let it go."""
        self._held.close()


def claim_block() -> Claim:
    """Return the first block of 65,534 addresses that no process of this network namespace has claimed.

    Raises:
        OSError: all are claimed.
    """
    for number in _BLOCKS:
        block = f"127.{number}.0.0/16"
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(f"\0skep/{block}")
        except OSError as error:
            held.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        return Claim(block, held)
    raise OSError(f"all {len(_BLOCKS)} blocks of loopback addresses are taken by programs that run tasks here")
