"""Attachments: containers that a person runs on a node, on a network of the swarm. To agents each is a task."""

from msgspec import Struct

from skep.model.ids import Instant, NetworkId, NodeId, Position, TaskId
from skep.model.network import NetworkAddress
from skep.model.service import NetworkAttachment, TaskSpec
from skep.model.task import TaskStatus


class Attachment(Struct, frozen=True, kw_only=True):
    """One container on one network; it is there until the container leaves the network.

    `addr` is its address there, with the prefix length; empty where the network's driver gives it.
    """

    id: TaskId
    node_id: NodeId
    network_id: NetworkId
    container_id: str
    addr: str
    status: TaskStatus
    version: Position
    created_at: Instant
    updated_at: Instant

    @property
    def address(self) -> NetworkAddress:
        """What it holds."""
        return NetworkAddress(self.network_id, self.addr)

    @property
    def spec(self) -> TaskSpec:
        """What the API and agents see as the spec of its task (recorded in scenario 25)."""
        return TaskSpec(
            network_attachment_spec={"ContainerID": self.container_id},
            networks=(NetworkAttachment(target=self.network_id),),
            runtime="attachment",
        )
