"""How the events of attachments change the state."""

from msgspec.structs import replace

from skep.core import address_index
from skep.core.events import AttachmentCreated, AttachmentsEnded, AttachmentsReported
from skep.core.fold_network import move_cursors
from skep.core.state import ClusterState
from skep.model.attachment import Attachment
from skep.model.ids import TaskId
from skep.model.states import MESSAGES, TaskState
from skep.model.task import TaskStatus


def attachment_created(state: ClusterState, event: AttachmentCreated) -> None:
    """Put a container on a network; its node is told."""
    attachment = Attachment(
        id=event.attachment_id,
        node_id=event.node_id,
        network_id=event.network_id,
        container_id=event.container_id,
        addr=event.addr,
        status=TaskStatus(TaskState.ASSIGNED, state.time, MESSAGES[TaskState.ASSIGNED]),
        version=state.position,
        created_at=state.time,
        updated_at=state.time,
    )
    state.attachments[attachment.id] = attachment
    address_index.enter_attachment(state, attachment)
    if not event.asked:
        move_cursors(state, [attachment.address])
    state.touched.assignments.setdefault(attachment.node_id, {})[attachment.id] = None


def attachments_reported(state: ClusterState, event: AttachmentsReported) -> None:
    """Take what an agent observed."""
    for attachment_id, status in zip(event.attachment_ids, event.statuses, strict=True):
        state.attachments[attachment_id] = replace(
            state.attachments[attachment_id], status=status, version=state.position, updated_at=state.time
        )


def attachments_ended(state: ClusterState, event: AttachmentsEnded) -> None:
    """Forget attachments; their addresses are free."""
    for attachment_id in event.attachment_ids:
        end(state, attachment_id)


def end(state: ClusterState, attachment_id: TaskId) -> None:
    """Forget an attachment; its node is told."""
    attachment = state.attachments.pop(attachment_id)
    address_index.leave_attachment(state, attachment)
    state.touched.assignments.setdefault(attachment.node_id, {})[attachment_id] = None
