"""New tasks: the command that makes them, whichever orchestrator wants them."""

from collections.abc import Sequence

from skep.core.commands import CreateTasks
from skep.core.plan.plan import Ids
from skep.model.ids import EPOCH, Instant, NodeId, Seat, TaskId
from skep.model.service import Service, TaskTemplate
from skep.model.states import TaskState
from skep.model.task import Task


def create(
    service: Service,
    seats: Sequence[Seat],
    ids: Ids,
    *,
    desired: TaskState = TaskState.RUNNING,
    replaces: Sequence[Task] = (),
    start_at: Instant = EPOCH,
    attempts: Sequence[int] = (),
) -> CreateTasks:
    """Return the command that makes a task of the present template in each of `seats`.

    A job's task is wanted COMPLETE where `desired` says RUNNING.
    """
    kind = service.spec.kind
    if desired is TaskState.RUNNING and kind.is_job:
        desired = TaskState.COMPLETE
    return CreateTasks(
        service_id=service.id,
        spec_version=service.spec_version,
        task_ids=tuple(TaskId(ids.new()) for _ in seats),
        state=TaskState.NEW if _needs_allocation(service) else TaskState.PENDING,
        desired=desired,
        slots=() if kind.per_node else tuple(int(seat) for seat in seats),
        node_ids=tuple(NodeId(str(seat)) for seat in seats) if kind.per_node else (),
        replaces=tuple(task.id for task in replaces),
        start_at=(start_at,) * len(seats) if start_at else (),
        attempts=tuple(attempts) if any(attempts) else (),
    )


def _needs_allocation(service: Service) -> bool:
    """Whether new tasks of a service wait for the allocator first."""
    template = TaskTemplate.of(service.spec)
    return bool(template.networks or template.ports)
