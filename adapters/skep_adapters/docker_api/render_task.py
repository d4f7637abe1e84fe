"""Tasks as the API shows them."""

from typing import Any

from skep.model.attachment import Attachment
from skep.model.service import TaskTemplate
from skep.model.states import MESSAGES, TaskState
from skep.model.task import Task, TaskStatus

from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.render_service import render_iteration
from skep_adapters.docker_api.times import rfc3339


def render_template(template: TaskTemplate) -> dict[str, Any]:
    """Return the spec that a task shows: the service's template without its runtime (recorded)."""
    document: dict[str, Any] = render(template.spec)
    del document["Runtime"]
    if template.networks:
        document["Networks"] = render(template.networks)
    return document


def render_task(
    task: Task,
    spec: dict[str, Any],
    attachments: list[dict[str, Any]],
    *,
    resources: list[dict[str, Any]] | None = None,
    iteration: int | None = None,
) -> dict[str, Any]:
    """Return a task; `spec` is its rendered template, which its service's other tasks share.

    A job's task shows the run that it belongs to. Slot 0 is left out, as those are that have none (recorded).
    """
    document: dict[str, Any] = {
        "ID": task.id,
        "Version": {"Index": task.version},
        "CreatedAt": rfc3339(task.origin.created_at),
        "UpdatedAt": rfc3339(task.updated_at),
        "Labels": {},
        "Spec": spec,
        "ServiceID": task.service_id,
    }
    if task.slot > 0:
        document["Slot"] = task.slot
    if task.node_id:
        document["NodeID"] = task.node_id
    document["Status"] = _status(task.status)
    document["DesiredState"] = task.desired.word
    if attachments:
        document["NetworksAttachments"] = attachments
    if resources:
        document["GenericResources"] = resources
    if iteration is not None:
        document["JobIteration"] = render_iteration(iteration)
    return document


def render_attachment(attachment: Attachment, attachments: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the task of a container that a person attached to a network: it belongs to no service (recorded)."""
    return {
        "ID": attachment.id,
        "Version": {"Index": attachment.version},
        "CreatedAt": rfc3339(attachment.created_at),
        "UpdatedAt": rfc3339(attachment.updated_at),
        "Labels": {},
        "Spec": render(attachment.spec),
        "NodeID": attachment.node_id,
        "Status": _status(attachment.status),
        "DesiredState": TaskState.RUNNING.word,
        "NetworksAttachments": attachments,
    }


def _status(status: TaskStatus) -> dict[str, Any]:
    document: dict[str, Any] = {
        "Timestamp": rfc3339(status.at),
        "State": status.state.word,
        "Message": status.message or MESSAGES.get(status.state, ""),
    }
    if status.err:
        document["Err"] = status.err
    if status.container is not None:
        document["ContainerStatus"] = {
            "ContainerID": status.container.container_id,
            "PID": status.container.pid,
            "ExitCode": status.container.exit_code,
        }
    document["PortStatus"] = {"Ports": render(status.ports)} if status.ports else {}
    return document
