"""Addresses as numbers: what a network's ranges hold, and which subnets the swarm has to give.

An address of a network is told by its number, or by its offset: where it is in the network's ranges, one after another.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from skep.model.network import IpamConfig

#: What a swarm's subnets are cut from where nobody said (FACTS, chapter 9).
DEFAULT_POOLS = ("10.0.0.0/8",)

#: The most addresses of one range that are ever given: what is larger is not used to its end.
SIZE_MAX = 1 << 48

_IPV4_MAX = (1 << 32) - 1

#: The first and the last number of something.
Span = tuple[int, int]


def parse_subnet(text: str) -> IPv4Network | IPv6Network:
    """Return the subnet of an address in CIDR, whatever its host part says; raise `ValueError` if it is none."""
    if "/" not in text:
        raise ValueError(text)
    return ip_network(text, strict=False)


def span_of(text: str) -> Span:
    """Return the first and the last address of a subnet in CIDR."""
    subnet = parse_subnet(text)
    return int(subnet.network_address), int(subnet.broadcast_address)


def number_of(addr: str) -> int:
    """Return the number of an address, with or without its prefix length."""
    host = addr.partition("/")[0]
    if ":" in host:
        return int(IPv6Address(host))
    a, b, c, d = host.split(".")
    return int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)


class Ranges:
    """The addresses that a network may give; subnet, broadcast and gateway are reserved.

    Raises:
        ValueError: one of them is no range of addresses.
    """

    def __init__(self, configs: Iterable[IpamConfig]) -> None:
        #: first number, size, prefix length
        self.parts: list[tuple[int, int, int]] = []
        self.reserved: dict[int, None] = {}
        for config in configs:
            subnet = parse_subnet(config.subnet)
            first, last = span_of(config.ip_range) if config.ip_range else span_of(config.subnet)
            self.parts.append((first, min(last - first + 1, SIZE_MAX), subnet.prefixlen))
            self.reserved[int(subnet.network_address)] = None
            if subnet.version == 4:  # noqa: PLR2004 - IPv6 has no broadcast
                self.reserved[int(subnet.broadcast_address)] = None
            if config.gateway:
                self.reserved[int(ip_address(config.gateway))] = None
        self.size = sum(size for _, size, _ in self.parts)
        self.capacity = self.size - sum(self.offset(number) is not None for number in self.reserved)

    def offset(self, number: int) -> int | None:
        """Return where an address is in the ranges; None if it is outside."""
        before = 0
        for first, size, _ in self.parts:
            if first <= number < first + size:
                return before + number - first
            before += size
        return None

    def at(self, offset: int) -> tuple[int, int]:
        """Return the number of an address in the ranges, and its prefix length."""
        for first, size, prefix in self.parts:
            if offset < size:
                return first + offset, prefix
            offset -= size
        raise IndexError(offset)


def text_of(number: int, prefix: int) -> str:
    """Return an address as text: `10.0.1.3/24`."""
    if number > _IPV4_MAX:
        return f"{IPv6Address(number)}/{prefix}"
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/{prefix}"


class Pools:
    """The subnets of one size that a swarm's pools hold, in order."""

    def __init__(self, pools: Sequence[str], prefix: int) -> None:
        self._pools = [subnet for text in pools or DEFAULT_POOLS if (subnet := parse_subnet(text)).prefixlen <= prefix]
        self._prefix = prefix
        self.count = sum(self._count(pool) for pool in self._pools)

    def _count(self, pool: IPv4Network | IPv6Network) -> int:
        return 1 << min(self._prefix - pool.prefixlen, 48)

    def at(self, index: int) -> str:
        """Return a subnet by its place."""
        for pool in self._pools:
            if index < self._count(pool):
                start = int(pool.network_address) + (index << (pool.max_prefixlen - self._prefix))
                return text_of(start, self._prefix)
            index -= self._count(pool)
        raise IndexError(index)

    def behind(self, index: int, last: int) -> int:
        """Return the place of the first subnet after `index`, in its pool, that begins behind the address `last`.

        One beyond the pool if there is none.
        """
        before = 0
        for pool in self._pools:
            count = self._count(pool)
            if index < before + count:
                offset = last - int(pool.network_address) >> (pool.max_prefixlen - self._prefix)
                return max(index + 1, min(before + offset + 1, before + count))
            before += count
        raise IndexError(index)

    def index(self, subnet: str) -> int | None:
        """Return the place of a subnet; None if it is none of them."""
        number, before = number_of(subnet), 0
        for pool in self._pools:
            if int(pool.network_address) <= number <= int(pool.broadcast_address):
                return before + (number - int(pool.network_address) >> (pool.max_prefixlen - self._prefix))
            before += self._count(pool)
        return None
