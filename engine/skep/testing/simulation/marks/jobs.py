"""Marks of jobs, and of services that are on each node."""

from skep.core.events import ServiceUpdated, TasksCreated, TasksDesired, TasksReported
from skep.core.state import ClusterState
from skep.model.ids import ServiceId
from skep.model.service import ReplicatedJobMode
from skep.model.states import Mode, TaskState
from skep.testing.simulation.marks.scene import Scene, seen


def _services(state: ClusterState, event: TasksReported) -> list[ServiceId]:
    """Return the services of which tasks completed."""
    rows = zip(event.task_ids, event.statuses, strict=True)
    done = (state.tasks.get(task_id) for task_id, status in rows if status.state is TaskState.COMPLETE)
    return [task.service_id for task in done if task is not None and task.service_id in state.services]


def _completed(state: ClusterState, service_id: ServiceId) -> int:
    index = state.service_tasks[service_id]
    return len(index.completed.get(state.services[service_id].spec_version, ()))


@seen("job-done", TasksReported)
def _(scene: Scene, event: TasksReported) -> bool:
    """See that a replicated job has all its completions, and had to begin slots one after another."""
    for service_id in _services(scene.state, event):
        mode = scene.state.services[service_id].spec.mode
        job = (mode.replicated_job if mode else None) or ReplicatedJobMode(max_concurrent=1)
        total, at_once = job.total_completions or 0, job.max_concurrent or 0
        if total > at_once and _completed(scene.state, service_id) == total:
            return True
    return False


@seen("global-job-done", TasksReported)
def _(scene: Scene, event: TasksReported) -> bool:
    services = scene.state.services
    done = [i for i in _services(scene.state, event) if services[i].spec.kind is Mode.GLOBAL_JOB]
    return any(_completed(scene.state, i) >= len(scene.state.nodes) for i in done)


@seen("job-ran-again-amid-run", ServiceUpdated)
def _(scene: Scene, event: ServiceUpdated) -> bool:
    service = scene.state.services.get(event.service_id)
    if service is None or not service.spec.kind.is_job:
        return False
    tasks = scene.state.tasks_of(service.id)
    return any(t.origin.spec_version != service.spec_version and t.state is TaskState.RUNNING for t in tasks)


@seen("job-slot-gave-up", TasksDesired)
def _(scene: Scene, _: TasksDesired) -> bool:
    services = scene.state.services
    return any(services[i].spec.kind is Mode.REPLICATED_JOB for i in scene.state.given_up if i in services)


@seen("global-task-for-joined-node", TasksCreated)
def _(scene: Scene, event: TasksCreated) -> bool:
    service = scene.state.services.get(event.service_id)
    if service is None or service.spec.kind is not Mode.GLOBAL:
        return False
    nodes = (scene.state.nodes.get(node_id) for node_id in event.node_ids)
    return any(node is not None and node.created_at > service.created_at for node in nodes)


@seen("global-update", TasksCreated)
def _(scene: Scene, event: TasksCreated) -> bool:
    """See that an update of a service on each node replaces tasks."""
    service = scene.state.services.get(event.service_id)
    return service is not None and service.spec.kind is Mode.GLOBAL and service.id in scene.state.updates
