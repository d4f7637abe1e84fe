"""Addresses that `swarm init` names: what Docker accepts, and its words for the rest (recorded in scenario 05)."""

import fcntl
import ipaddress
import socket
import struct

from skep_adapters.docker_api.errors import ApiError, bad_request

_PORT_MAX = 65_535
_DATA_PATH_PORTS = (1024, 49_151)
_SIOCGIFADDR = 0x8915
_IFREQ_BYTES = 256
_NAME_BYTES = 15
_ADDR_AT = slice(20, 24)


def check_listen(text: str) -> str:
    """Return the address to listen on as it was given, an interface's name replaced by its address.

    Raises:
        ApiError: it is none.
    """
    if not text:
        raise bad_request('invalid ListenAddr "": invalid empty address')
    host, port = _split(text)
    found = _ip(host) or address_of_interface(host)
    if found is None:
        raise bad_request("listen address must be an IP address or network interface (with optional port number)")
    if port and not (port.isdecimal() and int(port) <= _PORT_MAX):
        raise ApiError(
            500, f"manager stopped: failed to listen on remote API address: listen tcp: address {port}: invalid port"
        )
    return _join(found, port)


def check_advertise(text: str) -> str:
    """Return the address that others are told, an interface's name replaced by its address; empty stays empty.

    Raises:
        ApiError: it is none, or one that nobody could reach.
    """
    if not text:
        return ""
    host, port = _split(text)
    found = _ip(host) or address_of_interface(host)
    if found is None or ipaddress.ip_address(found).is_unspecified:
        raise bad_request(
            "advertise address must be a non-zero IP address or network interface (with optional port number)"
        )
    return _join(found, port)


def check_data_path(text: str) -> str:
    """Return the address that tasks' data comes to, an interface's name replaced by its address; empty stays empty.

    Raises:
        ApiError: it is none, or one that nobody could reach.
    """
    if not text:
        return ""
    found = _ip(text) or address_of_interface(text)
    if found is None or ipaddress.ip_address(found).is_unspecified:
        raise bad_request("data path address must be a non-zero IP address or network interface")
    return found


def check_pools(pools: tuple[str, ...], subnet_size: int) -> tuple[str, ...]:
    """Return the address pools if subnets of `subnet_size` bits fit into each (500 otherwise)."""
    for pool in pools:
        try:
            bits = ipaddress.ip_network(pool, strict=False).prefixlen
        except ValueError:
            raise ApiError(500, f"invalid CIDR address: {pool}") from None
        if subnet_size < bits:
            raise ApiError(500, f'invalid CIDR: "{pool}". Subnet size is too small for pool: {subnet_size}')
    return pools


def check_data_path_port(port: int) -> int:
    """Return the port if it may carry data, or is 0 (500 otherwise)."""
    low, high = _DATA_PATH_PORTS
    if port and not low <= port <= high:
        raise ApiError(500, f"Datapath port number is not in valid range ({low}-{high}) : {port}")
    return port


def _split(text: str) -> tuple[str, str]:
    """Return host and port; the port may be missing, an IPv6 address with a port stands in brackets."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    if text.count(":") > 1:
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def _join(host: str, port: str) -> str:
    if not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def address_of_interface(name: str) -> str | None:
    """Return the first IPv4 address of a network interface."""
    if name not in {known for _, known in socket.if_nameindex()}:
        return None
    request = struct.pack(f"{_IFREQ_BYTES}s", name.encode()[:_NAME_BYTES])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer: bytes = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError:
            return None
    return socket.inet_ntoa(answer[_ADDR_AT])
