"""What a node says of itself."""

import base64

from skep.model.node import EngineDescription, EnginePlugin, NodeDescription, TlsInfo
from skep.model.service import DiscreteResource, GenericResource, NamedResource, Platform, Reservations

from skep_adapters.swarmkit.unreadable import Unreadable
from skep_adapters.swarmkit.wire import types_pb2

#: An engine's is about 2 KiB. Written as JSON it grows six-fold at the most, and a record has more than 1 MiB.
DESCRIPTION_BYTES_MAX = 128 * 1024

#: As long as a host's name may be.
HOSTNAME_MAX = 253


def parse_description(description: types_pb2.NodeDescription) -> NodeDescription:
    """Return a description; FIPS and the plugins of cluster volumes have no place in the model.

    Raises:
        Unreadable: it is too large.
    """
    size = description.ByteSize()
    if size > DESCRIPTION_BYTES_MAX:
        raise Unreadable(f"the node's description has {size} bytes, more than {DESCRIPTION_BYTES_MAX}")
    if len(description.hostname) > HOSTNAME_MAX:
        raise Unreadable(f"description.hostname has {len(description.hostname)} characters")
    return NodeDescription(
        hostname=description.hostname,
        platform=_platform(description.platform) if description.HasField("platform") else None,
        resources=_resources(description.resources) if description.HasField("resources") else None,
        engine=_engine(description.engine) if description.HasField("engine") else None,
        tls_info=_tls(description.tls_info) if description.HasField("tls_info") else None,
    )


def _platform(platform: types_pb2.Platform) -> Platform:
    return Platform(architecture=platform.architecture, os=platform.os)


def _resources(resources: types_pb2.Resources) -> Reservations:
    """Return what the node has; less than nothing counts as nothing."""
    generic = (_generic(one) for one in resources.generic)
    return Reservations(
        nano_cpus=max(resources.nano_cpus, 0),
        memory_bytes=max(resources.memory_bytes, 0),
        generic_resources=tuple(one for one in generic if one is not None),
    )


def _generic(resource: types_pb2.GenericResource) -> GenericResource | None:
    match resource.WhichOneof("resource"):
        case "named_resource_spec":
            named = resource.named_resource_spec
            return GenericResource(named_resource_spec=NamedResource(named.kind, named.value))
        case "discrete_resource_spec":
            amount = resource.discrete_resource_spec
            return GenericResource(discrete_resource_spec=DiscreteResource(amount.kind, max(amount.value, 0)))
    return None


def _engine(engine: types_pb2.EngineDescription) -> EngineDescription:
    """Return an engine, labels in order of their keys: a map of the wire has none of its own."""
    return EngineDescription(
        engine_version=engine.engine_version,
        labels=dict(sorted(engine.labels.items())),
        plugins=tuple(EnginePlugin(one.type, one.name) for one in engine.plugins),
    )


def _tls(info: types_pb2.NodeTLSInfo) -> TlsInfo:
    """Return what root the node trusts: PEM as text, DER as base64."""
    return TlsInfo(
        trust_root=info.trust_root.decode(errors="replace"),
        cert_issuer_subject=base64.b64encode(info.cert_issuer_subject).decode(),
        cert_issuer_public_key=base64.b64encode(info.cert_issuer_public_key).decode(),
    )
