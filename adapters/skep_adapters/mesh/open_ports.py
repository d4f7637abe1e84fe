"""Where something listens on this machine: what Linux tells in /proc/net, so that no task is disturbed by being tried.

The tables are of the network namespace. Listening sockets come first in those of TCP, so that many connections cost
nothing. What was read is good for a moment, for all who ask.
"""

import asyncio
import socket
import struct
from ipaddress import IPv6Address
from pathlib import Path

#: How long what was read is good, and how often is looked.
_LOOK_S = 0.05

_LISTENING = "0A"

_TABLES = {"tcp": ("tcp", "tcp6"), "udp": ("udp", "udp6")}

_IPV4_DIGITS = 8


class OpenPorts:
    """What listens where, by protocol."""

    def __init__(self, directory: Path = Path("/proc/net")) -> None:
        self._directory = directory
        self._read: dict[str, tuple[float, dict[int, set[str]]]] = {}

    @property
    def known(self) -> bool:
        """Whether this machine tells."""
        return (self._directory / "tcp").exists()

    async def opened(self, protocol: str, addr: str, port: int) -> None:
        """Return as soon as something listens at exactly that address."""
        while addr not in self.addresses(protocol, port):  # noqa: ASYNC110  # the kernel tells nobody
            await asyncio.sleep(_LOOK_S)

    def addresses(self, protocol: str, port: int) -> set[str]:
        """Return the addresses at which something listens on `port`."""
        now = asyncio.get_running_loop().time()
        read_at, found = self._read.get(protocol, (-_LOOK_S, {}))
        if now - read_at >= _LOOK_S / 2:
            found = {}
            for table in _TABLES[protocol]:
                self._take(table, protocol, found)
            self._read[protocol] = now, found
        return found.get(port, set())

    def _take(self, table: str, protocol: str, found: dict[int, set[str]]) -> None:
        try:
            file = (self._directory / table).open(encoding="ascii")
        except FileNotFoundError:
            return  # a machine without IPv6 has no table of it
        with file:
            next(file, None)
            for line in file:
                words = line.split(maxsplit=4)
                if protocol == "tcp" and words[3] != _LISTENING:
                    return
                addr, _, port = words[1].partition(":")
                found.setdefault(int(port, 16), set()).add(_address(addr))


def _address(digits: str) -> str:
    """Return an address that is written as words of the machine's own byte order."""
    words = [int(digits[at : at + _IPV4_DIGITS], 16) for at in range(0, len(digits), _IPV4_DIGITS)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(digits) == _IPV4_DIGITS:
        return socket.inet_ntoa(packed)
    address = IPv6Address(packed)
    return str(address.ipv4_mapped or address)
