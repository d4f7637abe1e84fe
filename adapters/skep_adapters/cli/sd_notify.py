"""What systemd is told of the daemon's life (sd_notify(3)); nothing where it did not ask."""

import os
import socket


def notify(state: str) -> None:
    """Send `state`, such as `READY=1`. What cannot be sent is not: a supervisor that is gone is no reason to end."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
        try:
            out.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
        except OSError:
            return
