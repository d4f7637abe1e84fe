"""The keys with which nodes gossip and encrypt overlays.

dockerd wants three for each of two purposes; any other number it drops without a word, and its gossip never starts. Of
each purpose the second is the one that it encrypts with.
"""

from collections.abc import Sequence

from skep.ports.link import PlainKey

from skep_adapters.swarmkit.wire import types_pb2

#: What keys are for.
SUBSYSTEMS = ("networking:gossip", "networking:ipsec")

#: So many keys for each purpose: the one before, the present one, the next.
KEYS = 3

#: AES-128.
KEY_BYTES = 16


def render_keys(keys: Sequence[PlainKey]) -> list[types_pb2.EncryptionKey]:
    """Return the keys; none at all is allowed, and then nothing reaches another node's network.

    dockerd tells keys apart by their lamport times alone, whatever they are for, so each purpose gets times of its own.

    Raises:
        ValueError: they are not what dockerd takes.
    """
    if keys:
        _check(keys)
    return [
        types_pb2.EncryptionKey(
            subsystem=one.subsystem,
            algorithm=types_pb2.EncryptionKey.AES_128_GCM,
            key=one.key,
            lamport_time=one.lamport * len(SUBSYSTEMS) + SUBSYSTEMS.index(one.subsystem),
        )
        for one in keys
    ]


def _check(keys: Sequence[PlainKey]) -> None:
    if [one.subsystem for one in keys if one.subsystem not in SUBSYSTEMS]:
        raise ValueError("a network key is for nothing that is known")
    for subsystem in SUBSYSTEMS:
        times = [one.lamport for one in keys if one.subsystem == subsystem]
        if len(times) != KEYS:
            raise ValueError(f"{len(times)} keys for {subsystem}, not {KEYS}")
        if len(set(times)) != KEYS:
            raise ValueError(f"two keys for {subsystem} have the same lamport time")
    if any(len(one.key) != KEY_BYTES for one in keys):
        raise ValueError(f"a network key is not {KEY_BYTES} bytes long")
