"""Marks of updates and rollbacks, and of spreading anew."""

from skep.core.events import (
    ServiceRebalanceEnded,
    ServiceRolledBack,
    ServiceUpdated,
    ServiceUpdateReported,
    TasksAdopted,
    TasksReported,
)
from skep.model.states import TaskState, UpdateState
from skep.testing.simulation.marks.scene import Scene, remembers, seen


@remembers(ServiceUpdateReported)
def _(scene: Scene, event: ServiceUpdateReported) -> None:
    if event.status.state is UpdateState.UPDATING:
        scene.updating[event.service_id] = None
    else:
        scene.updating.pop(event.service_id, None)


def _update_ended(scene: Scene, event: ServiceUpdated | ServiceRolledBack) -> None:
    scene.updating.pop(event.service_id, None)


remembers(ServiceUpdated)(_update_ended)
remembers(ServiceRolledBack)(_update_ended)


@seen("update-completed", ServiceUpdateReported)
def _(_: Scene, event: ServiceUpdateReported) -> bool:
    return event.status.state is UpdateState.COMPLETED


@seen("update-paused", ServiceUpdateReported)
def _(_: Scene, event: ServiceUpdateReported) -> bool:
    return event.status.state is UpdateState.PAUSED


@seen("rollback-paused", ServiceUpdateReported)
def _(_: Scene, event: ServiceUpdateReported) -> bool:
    return event.status.state is UpdateState.ROLLBACK_PAUSED


@seen("rollback-completed", ServiceUpdateReported)
def _(_: Scene, event: ServiceUpdateReported) -> bool:
    return event.status.state is UpdateState.ROLLBACK_COMPLETED


@seen("update-rolled-back", ServiceRolledBack)
def _(_: Scene, event: ServiceRolledBack) -> bool:
    return not event.keep_previous


@seen("rolled-back-by-hand", ServiceRolledBack)
def _(_: Scene, event: ServiceRolledBack) -> bool:
    return event.keep_previous


@seen("update-amid-update", ServiceUpdated)
def _(scene: Scene, event: ServiceUpdated) -> bool:
    return event.service_id in scene.updating


@seen("start-first-overlap", TasksReported)
def _(scene: Scene, event: TasksReported) -> bool:
    """See that a slot has two running tasks that are both wanted."""
    for task_id, status in zip(event.task_ids, event.statuses, strict=True):
        task = scene.state.tasks.get(task_id)
        if status.state is TaskState.RUNNING and task is not None and task.desired is TaskState.RUNNING:
            for other in scene.state.tasks_in(task.service_id, task.slot):
                both = other.id != task_id and other.state is TaskState.RUNNING
                if both and other.desired is TaskState.RUNNING:
                    return True
    return False


@seen("rolled-back-to-older", ServiceRolledBack)
def _(scene: Scene, event: ServiceRolledBack) -> bool:
    """See that it is not the spec before; that is the second last of those before this one."""
    positions = scene.state.spec_positions.get(event.service_id, [])
    return event.to not in positions[-3:]


@seen("spec-adopted", TasksAdopted)
def _(_: Scene, event: TasksAdopted) -> bool:
    return bool(event.task_ids)


def _spread_ended(mark: str, words: str) -> None:
    @seen(mark, ServiceRebalanceEnded)
    def _(_: Scene, event: ServiceRebalanceEnded) -> bool:
        return words in event.why


_spread_ended("rebalance-evened", "every node has its share")
_spread_ended("rebalance-budget-spent", "no more were to be")
_spread_ended("rebalance-cut-by-update", "the service is being updated")
_spread_ended("rebalance-task-failed", "which took over from another, ended")
_spread_ended("rebalance-task-unwanted", "is not wanted any more")
