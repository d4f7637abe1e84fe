"""The address by which other machines reach this one, where nobody says it."""

import socket

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
