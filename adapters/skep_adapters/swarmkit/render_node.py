"""A node as it is told of itself."""

from collections.abc import Mapping, Sequence

from skep.model.ids import NetworkId
from skep.model.network import NetworkAddress
from skep.model.node import Node
from skep.model.states import Availability

from skep_adapters.swarmkit.numbers import uint32
from skep_adapters.swarmkit.render_driver import render_annotations, render_meta
from skep_adapters.swarmkit.wire import objects_pb2, specs_pb2, types_pb2

#: A certificate is as it should be; and: it is to be renewed at once.
ISSUED = types_pb2.IssuanceStatus.ISSUED
ROTATE = types_pb2.IssuanceStatus.ROTATE


def render_node(
    node: Node,
    *,
    networks: Mapping[NetworkId, objects_pb2.Network],
    certificate: types_pb2.IssuanceStatus.State = ISSUED,
    data_path_port: int = 0,
) -> objects_pb2.Node:
    """Return a node; each overlay that a task of it is on must be among its attachments before the task.

    Whatever its role in the swarm is, an engine is told that it is a worker: as a manager it would look for raft.
    `data_path_port` 0 leaves the engine its own choice. An address on a network that is gone is left out.
    """
    spec = node.spec
    return objects_pb2.Node(
        id=node.id,
        meta=render_meta(node.version, node.created_at, node.updated_at),
        spec=specs_pb2.NodeSpec(
            annotations=render_annotations(spec.name, spec.labels),
            desired_role=types_pb2.WORKER,
            membership="ACCEPTED",
            availability=(spec.availability or Availability.ACTIVE).name,
        ),
        status=types_pb2.NodeStatus(state=node.status.state.name, message=node.status.message, addr=node.status.addr),
        certificate=types_pb2.Certificate(
            role=types_pb2.WORKER, status=types_pb2.IssuanceStatus(state=certificate), cn=node.id
        ),
        role=types_pb2.WORKER,
        attachments=_attachments(node.attachments, networks),
        VXLANUDPPort=uint32(data_path_port),
    )


def _attachments(
    addresses: Sequence[NetworkAddress], networks: Mapping[NetworkId, objects_pb2.Network]
) -> list[objects_pb2.NetworkAttachment]:
    return [
        objects_pb2.NetworkAttachment(network=networks[one.network_id], addresses=[one.addr])
        for one in addresses
        if one.addr and one.network_id in networks
    ]
