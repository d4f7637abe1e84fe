"""Predefined networks: `host` and `bridge`, which every engine has of its own, as the swarm knows them.

They are the same in every swarm and never change, so no event tells of them: they are there with the swarm. Their ids
follow from its id. So they are the same however often the log is folded, and others than those of any other swarm.
The swarm gives nothing on them, and lists leave them out, as Docker does.
"""

from hashlib import sha256

from skep.model.container import Driver
from skep.model.ids import ClusterId, Instant, NetworkId, Position
from skep.model.network import PREDEFINED, PREDEFINED_LABEL, Network, NetworkSpec

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

#: As every id of a swarm's.
_ID_CHARS = 25


def predefined_networks(cluster_id: ClusterId, position: Position, time: Instant) -> list[Network]:
    """Return the predefined networks of a swarm that began at `position`."""
    return [
        Network(
            id=_id_of(cluster_id, name),
            spec=NetworkSpec(name=name, labels={PREDEFINED_LABEL: "true"}, driver=Driver(name)),
            version=position,
            written=position,
            created_at=time,
            updated_at=time,
        )
        for name in PREDEFINED
    ]


def _id_of(cluster_id: ClusterId, name: str) -> NetworkId:
    number = int.from_bytes(sha256(f"predefined network {name} of {cluster_id}".encode()).digest(), "big")
    digits: list[str] = []
    for _ in range(_ID_CHARS):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return NetworkId("".join(digits))
