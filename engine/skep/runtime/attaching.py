"""Attaching: containers that people run on nodes join networks of the swarm, and leave them, as their engines ask."""

from skep.core.commands import AttachContainer, DetachContainer
from skep.core.record import Actor
from skep.model.ids import NodeId, TaskId
from skep.ports.clock import Ids
from skep.runtime.writer import Writer


class Attaching:
    """What the engines of nodes ask for; what comes of it is assigned to them as tasks are."""

    def __init__(self, writer: Writer, *, ids: Ids) -> None:
        self._writer = writer
        self._ids = ids

    async def attach(self, node_id: NodeId, target: str, container_id: str, addresses: tuple[str, ...]) -> TaskId:
        """Put a container of a node on the network of that id or name; return the id of its task, which is durable.

        Raises:
            Rejected: there is no such network, or it cannot be joined so.
            EngineError: nothing can be written now.
        """
        attachment_id = TaskId(self._ids.new())
        command = AttachContainer(attachment_id, node_id, target, container_id, addresses)
        await self._writer.submit(command, actor=Actor("agent", node_id))
        return attachment_id

    async def detach(self, node_id: NodeId, attachment_id: TaskId) -> None:
        """Take a container of a node off its network.

        Raises:
            Rejected: it is on none, or is another node's.
            EngineError: nothing can be written now.
        """
        await self._writer.submit(DetachContainer(node_id, attachment_id), actor=Actor("agent", node_id))
