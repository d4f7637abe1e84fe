"""Ports in their short form: `[IP:][PUBLISHED:]TARGET[/PROTOCOL]`, both of which may be ranges.

One target may be published at a range of ports; else both ranges are of one length. The address is not kept: a service
listens on all.
"""

import ipaddress
import re
from typing import Any

from skep_adapters.compose.place import Place

_RANGE = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?")
_PROTOCOLS = ("tcp", "udp", "sctp")
PORT_MAX = 65_535


def short_ports(value: str, place: Place) -> list[dict[str, Any]]:
    """Return the ports that one short form means, in their long form."""
    wanted = "a port such as 8080:80, 8000-8010:80 or 53:53/udp"
    rest, _, protocol = value.partition("/")
    protocol = protocol.lower() or "tcp"
    *before, target = rest.split(":")
    published = before.pop() if before else ""
    if before:
        _check_address(":".join(before), value, place, wanted)
    targets = _range(target)
    hosts = _range(published) if published else None
    if protocol not in _PROTOCOLS or targets is None or (published and hosts is None):
        place.refuse_value(value, wanted)
    place.write_out(ports=max(len(targets), len(hosts or ())))
    if hosts is None:
        rows = [(one, 0) for one in targets]
    elif len(targets) == 1:
        rows = [(targets[0], one) for one in hosts]
    elif len(targets) == len(hosts):
        rows = list(zip(targets, hosts, strict=True))
    else:
        place.refuse_value(value, "a port whose two ranges are of one length")
    # as text, as Docker's client orders them
    rows.sort(key=lambda row: str(row[0]))
    return [{"target": one, "published": at, "protocol": protocol, "mode": "ingress"} for one, at in rows]


def _range(text: str) -> range | None:
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first, last = int(found["first"]), int(found["last"] or found["first"])
    return range(first, last + 1) if first <= last <= PORT_MAX else None


def _check_address(address: str, value: str, place: Place, wanted: str) -> None:
    bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        place.refuse_value(value, wanted)
