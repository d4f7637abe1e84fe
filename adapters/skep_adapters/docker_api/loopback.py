"""TCP without TLS, on loopback: for programs of this machine, never for web pages that are looked at on it."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

#: The name of actors that come in by it: nobody knows which user they are.
LOOPBACK = "loopback"


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches `host`, which is an address or `localhost`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def from_a_page(headers: Mapping[str, str]) -> bool:
    """Say whether a browser sent a request: it names the page, or another name than loopback's that leads there."""
    if "Origin" in headers or "Sec-Fetch-Site" in headers:
        return True
    try:
        name = urlsplit(f"//{headers.get('Host', '')}").hostname
    except ValueError:
        return True
    return name is not None and not is_loopback(name)
