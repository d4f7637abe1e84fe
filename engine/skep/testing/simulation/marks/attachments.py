"""Marks of containers that people run on attachable networks."""

from skep.core.events import AttachmentCreated, AttachmentsEnded, AttachmentsReported, NodeRemoved
from skep.model.ids import NodeId, TaskId
from skep.model.states import NodeState, TaskState
from skep.testing.simulation.marks.scene import Scene, remembers, seen


@seen("container-attached", AttachmentCreated)
def _(_: Scene, event: AttachmentCreated) -> bool:
    return not event.asked


@seen("container-attached-at-the-address-it-asked-for", AttachmentCreated)
def _(_: Scene, event: AttachmentCreated) -> bool:
    return event.asked


@seen("container-joined-anew", AttachmentCreated)
def _(scene: Scene, _: AttachmentCreated) -> bool:
    return any(isinstance(event, AttachmentsEnded) for event in scene.together)


@seen("container-running-on-its-network", AttachmentsReported)
def _(_: Scene, event: AttachmentsReported) -> bool:
    return any(status.state is TaskState.RUNNING for status in event.statuses)


@seen("attachment-ended-with-its-task", AttachmentsReported)
def _(_: Scene, event: AttachmentsReported) -> bool:
    return any(status.state.terminal for status in event.statuses)


@seen("attachment-ended-with-its-node", NodeRemoved)
def _(scene: Scene, event: NodeRemoved) -> bool:
    return any(node_id == event.node_id for node_id, *_ in scene.attached.values())


@seen("attachment-given-up-after-a-day", AttachmentsEnded)
def _(scene: Scene, event: AttachmentsEnded) -> bool:
    nodes = (scene.state.nodes.get(_node_of(scene, i)) for i in event.attachment_ids)
    return any(node is not None and node.status.state is NodeState.DOWN for node in nodes)


@seen("container-detached", AttachmentsEnded)
def _(scene: Scene, event: AttachmentsEnded) -> bool:
    nodes = (scene.state.nodes.get(_node_of(scene, i)) for i in event.attachment_ids)
    return any(node is not None and node.status.state is NodeState.READY for node in nodes)


def _node_of(scene: Scene, attachment_id: TaskId) -> NodeId:
    return scene.attached[attachment_id][0] if attachment_id in scene.attached else NodeId("")


@remembers(AttachmentCreated)
def _(scene: Scene, event: AttachmentCreated) -> None:
    scene.attached[event.attachment_id] = event.node_id, event.network_id, event.container_id


@remembers(AttachmentsEnded)
def _(scene: Scene, event: AttachmentsEnded) -> None:
    for attachment_id in event.attachment_ids:
        scene.attached.pop(attachment_id, None)


@remembers(NodeRemoved)
def _(scene: Scene, event: NodeRemoved) -> None:
    scene.attached = {i: row for i, row in scene.attached.items() if row[0] != event.node_id}
