"""What `skep up` is told: the options, and which of their values can be.

Light on purpose: every `skep --help` imports it. A value that cannot be is an `OptionError` that names the option and
the value, raised before anything is opened.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from skep_adapters.cli.hosts import PORT_MAX, TCP, UNIX, TcpHost, check_host, check_socket_path, tcp_host
from skep_adapters.cli.option_error import OptionError

#: More would be a typing error: each is an agent of its own, and with processes a supervisor too.
NODES_MAX = 10_000

#: What the Docker API adapter speaks; clients negotiate downwards from it.
API_MIN, API_MAX = "1.24", "1.44"

SOCKET_NAME = "skep.sock"

_LISTEN_ADDR = re.compile(r"(?:[0-9.]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")

_REGISTRY = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")

_API_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """How the daemon runs."""

    data: Annotated[Path, Parameter(help="Directory of everything that is kept.")] = Path("data")

    host: Annotated[
        tuple[str, ...],
        Parameter(
            name=["--host", "-H"],
            negative=(),
            consume_multiple=False,
            show_default=False,
            help="Where to listen, unix://PATH or tcp://ADDRESS:PORT; may be given several times. "
            "[default: unix://DATA/skep.sock]",
        ),
    ] = ()

    tlscacert: Annotated[
        Path | None, Parameter(help="Authority that signs the certificates of who may ask over TCP: a file of PEM.")
    ] = None

    tlscert: Annotated[Path | None, Parameter(help="Certificate that the daemon shows over TCP: a file of PEM.")] = None

    tlskey: Annotated[Path | None, Parameter(help="Key of --tlscert: a file of PEM.")] = None

    executor: Annotated[
        Literal["auto", "process", "simulated"],
        Parameter(
            help="What runs this machine's tasks: its Docker Engine, processes, or nothing. auto takes what is there."
        ),
    ] = "auto"

    engine: Annotated[
        str, Parameter(show_default=False, help="Docker Engine that runs this machine's tasks, unix://PATH.")
    ] = ""

    nodes: Annotated[int, Parameter(help="How many nodes live in this process; the first is the manager.")] = 1

    catalog: Annotated[Path | None, Parameter(help="TOML file that says which command an image's name stands for.")] = (
        None
    )

    advertise_addr: Annotated[
        str,
        Parameter(
            show_default=False,
            help="Address that others reach this machine by. [default: the one that its default route leads through]",
        ),
    ] = ""

    listen_addr: Annotated[
        str,
        Parameter(
            show_default=False,
            help="Where Docker Engines join, HOST:PORT. [default: what docker swarm init says, 0.0.0.0:2377]",
        ),
    ] = ""

    insecure_registry: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            consume_multiple=False,
            show_default=False,
            help="Registry to ask for digests without checking its certificate, or without TLS, HOST[:PORT]; "
            "may be given several times. Engines that pull from it have a setting of their own.",
        ),
    ] = ()

    api_max: Annotated[str, Parameter(help="Newest version of the Docker API to speak.")] = API_MAX

    @property
    def directory(self) -> Path:
        """The data directory, absolute."""
        return self.data.expanduser().absolute()

    @property
    def sockets(self) -> tuple[Path, ...]:
        """The sockets to listen at, absolute, each once."""
        if not self.host:
            return (self.directory / SOCKET_NAME,)
        paths = [Path(host.removeprefix(UNIX)).absolute() for host in self.host if host.startswith(UNIX)]
        return tuple(dict.fromkeys(paths))

    @property
    def tcp_hosts(self) -> tuple[TcpHost, ...]:
        """The addresses to listen at, each once."""
        return tuple(dict.fromkeys(tcp_host(host) for host in self.host if host.startswith(TCP)))

    @property
    def tls(self) -> tuple[Path, Path, Path] | None:
        """The files of PEM for TCP, absolute: authority, certificate and key; None if there are none."""
        files = (self.tlscacert, self.tlscert, self.tlskey)
        given = [file.expanduser().absolute() for file in files if file is not None]
        return (given[0], given[1], given[2]) if len(given) == len(files) else None

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of the nodes: the machine's own where there is only one."""
        if self.nodes == 1:
            return (socket.gethostname(),)
        return tuple(f"node{number}" for number in range(1, self.nodes + 1))


def check(options: UpOptions) -> None:
    """Refuse values that cannot be.

    Raises:
        OptionError: the first of them.
    """
    for host in options.host:
        check_host(host)
    for path in options.sockets:
        check_socket_path(path)
    _check_tls(options)
    if not 1 <= options.nodes <= NODES_MAX:
        raise OptionError(f"--nodes {options.nodes}: must be from 1 to {NODES_MAX}")
    _check_engine(options)
    if options.catalog is not None and (options.executor == "simulated" or options.engine):
        raise OptionError(f"--catalog {options.catalog}: only --executor process runs what a catalogue says")
    _check_listen(options.listen_addr)
    _check_advertise(options.advertise_addr)
    for registry in options.insecure_registry:
        _check_registry(registry)
    version = options.api_max
    if not _API_VERSION.fullmatch(version) or not _numbers(API_MIN) <= _numbers(version) <= _numbers(API_MAX):
        raise OptionError(f"--api-max {version!r}: must be a version of the Docker API from {API_MIN} to {API_MAX}")


def _check_tls(options: UpOptions) -> None:
    files = {"--tlscacert": options.tlscacert, "--tlscert": options.tlscert, "--tlskey": options.tlskey}
    given = [f"{name} {path}" for name, path in files.items() if path is not None]
    missing = [name for name, path in files.items() if path is None]
    if given and missing:
        raise OptionError(f"{given[0]}: needs {' and '.join(missing)} as well")
    if given and not options.tcp_hosts:
        raise OptionError(f"{given[0]}: is for TCP; give --host tcp://ADDRESS:PORT")
    for host in options.tcp_hosts:
        if options.tls is None and not host.loopback:
            raise OptionError(
                f"--host {host}: everybody who reaches it could command the swarm; give --tlscacert, --tlscert and "
                "--tlskey, or an address of loopback"
            )


def _check_advertise(address: str) -> None:
    try:
        if address:
            ipaddress.ip_address(address)
    except ValueError:
        raise OptionError(f"--advertise-addr {address!r}: must be an IP address without a port") from None


def _check_listen(address: str) -> None:
    if address and not _LISTEN_ADDR.fullmatch(address):
        raise OptionError(f"--listen-addr {address!r}: must be HOST:PORT, an IPv6 host in brackets")
    if address and int(address.rpartition(":")[2]) > PORT_MAX:
        raise OptionError(f"--listen-addr {address!r}: a port is {PORT_MAX} at most")


def _check_registry(registry: str) -> None:
    if not _REGISTRY.fullmatch(registry):
        raise OptionError(
            f"--insecure-registry {registry!r}: must be HOST or HOST:PORT, as names of images begin with it"
        )
    port = registry.rpartition("]")[2].partition(":")[2]
    if port and int(port) > PORT_MAX:
        raise OptionError(f"--insecure-registry {registry!r}: a port is {PORT_MAX} at most")


def _check_engine(options: UpOptions) -> None:
    if not options.engine:
        return
    if not options.engine.startswith(UNIX) or options.engine == UNIX:
        raise OptionError(f"--engine {options.engine!r}: must be unix://PATH")
    if options.executor != "auto":
        raise OptionError(f"--engine {options.engine}: it would run nothing beside --executor {options.executor}")
    if options.nodes > 1:
        raise OptionError(f"--engine {options.engine}: one engine is one node, not --nodes {options.nodes}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
