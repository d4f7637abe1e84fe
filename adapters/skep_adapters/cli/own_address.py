"""The addresses by which this machine is reached: by others, where nobody says it, and by itself."""

import ipaddress
import socket

from skep.runtime.swarm import join_addr, split_addr

from skep_adapters.docker_api.addresses import address_of_interface

#: Of TEST-NET-1, which is nobody's: what matters is the way there, and nothing is sent.
_AFAR = ("192.0.2.1", 9)

LOOPBACK = "127.0.0.1"

#: Interfaces that lead to no other machine: the loopback's, and those that engines make for their containers.
_INNER = ("lo", "docker", "veth", "br-")


def own_address() -> str:
    """Return the address of the interface that the default route leads through.

    Where there is no default route, that of the first interface which may lead to another machine; else the loopback's.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_AFAR)
            return str(probe.getsockname()[0])
        except OSError:
            pass
    found = (address_of_interface(name) for _, name in socket.if_nameindex() if not name.startswith(_INNER))
    return next((address for address in found if address), LOOPBACK)


def way_in(listen_addr: str, told: str) -> str:
    """Return where this machine itself reaches what listens at `listen_addr`; others are told that it is at `told`.

    That may be an address of a router before this machine, which does not let us in.
    """
    host, port = split_addr(listen_addr)
    if ipaddress.ip_address(host).is_unspecified:
        host = told if _is_own(told) else LOOPBACK
    return join_addr(host, port)


def _is_own(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True
