"""The address by which other machines reach this one, where nobody says it."""

import socket

#: Of TEST-NET-1, which is nobody's: what matters is the way there, and nothing is sent.
_AFAR = ("192.0.2.1", 9)

LOOPBACK = "127.0.0.1"


def own_address() -> str:
    """Return the address of the interface that the default route leads through; the loopback's where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_AFAR)
            return str(probe.getsockname()[0])
        except OSError:
            return LOOPBACK
