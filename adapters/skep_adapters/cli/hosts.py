"""Where `skep up` listens, as `--host` says it: `unix://PATH` or `tcp://HOST:PORT`."""

import ipaddress
import os
from pathlib import Path
from typing import NamedTuple

from skep_adapters.cli.option_error import OptionError

UNIX = "unix://"
TCP = "tcp://"

#: What Linux's `sun_path` holds, less the zero byte at its end.
SOCKET_PATH_BYTES_MAX = 107

PORT_MAX = 65_535


class TcpHost(NamedTuple):
    """An address to listen at."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"{TCP}[{self.host}]:{self.port}" if ":" in self.host else f"{TCP}{self.host}:{self.port}"


def tcp_host(text: str) -> TcpHost:
    """Read `tcp://HOST:PORT`; a host is an address or `localhost`, one of IPv6 in brackets.

    Raises:
        OptionError: it is something else.
    """
    host, colon, port = text.removeprefix(TCP).rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    whole = bool(colon) and port.isascii() and port.isdigit() and int(port) <= PORT_MAX
    if not whole or not _is_address(bare) or (":" in bare) == (bare == host):
        raise OptionError(f"--host {text}: must be tcp://ADDRESS:PORT, an IPv6 address in brackets")
    return TcpHost(bare, int(port))


def _is_address(host: str) -> bool:
    try:
        return host == "localhost" or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def check_host(host: str) -> None:
    """Refuse what is neither a socket's path nor an address.

    Raises:
        OptionError: with the value.
    """
    if host.startswith(TCP):
        tcp_host(host)
        return
    if not host.startswith(UNIX):
        scheme, found, _ = host.partition("://")
        if found:
            raise OptionError(f"--host {host}: unknown scheme {scheme}://; must be unix://PATH or tcp://ADDRESS:PORT")
        raise OptionError(f"--host {host!r}: must be unix://PATH or tcp://ADDRESS:PORT")
    if host in (UNIX, f"{UNIX}/") or host.endswith("/"):
        raise OptionError(f"--host {host}: names no file for the socket")


def check_socket_path(path: Path) -> None:
    """Refuse a path that is longer than the kernel takes.

    Raises:
        OptionError: with the path.
    """
    size = len(os.fsencode(path))
    if size > SOCKET_PATH_BYTES_MAX:
        raise OptionError(
            f"--host {UNIX}{path}: the path of a socket may have {SOCKET_PATH_BYTES_MAX} bytes, and this has {size}; "
            "give a shorter one with -H"
        )
