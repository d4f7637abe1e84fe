"""What services may lack at the end of a story, and what a person does about what can never succeed."""

from msgspec.structs import replace

from skep.core.commands import Command, RemoveService, UpdateService
from skep.core.indexes import ServiceTasks
from skep.core.state import ClusterState
from skep.model.ids import NodeId, TaskId
from skep.model.service import ReplicatedJobMode, ReplicatedMode, Service, ServiceMode, ServiceSpec, UpdateConfig
from skep.model.states import Mode, TaskState, UpdateState
from skep.testing.simulation.behaviours import STEADY
from skep.testing.simulation.places import ANYWHERE, fits

#: Images of jobs that end well.
ENDING = ("finishing",)

#: How long a person lets a task wait until they do something about it: longer than any task takes to stop.
PATIENCE_S = 30.0

_NO_TASKS = ServiceTasks()


# --- what a person does


class Person:
    """Somebody who looks again and again, and remembers since when tasks wait, by a clock of their own."""

    def __init__(self) -> None:
        self._waiting: dict[TaskId, float] = {}

    def put_right(self, state: ClusterState, now_s: float) -> list[Command]:
        """Return what they do about services that cannot come to rest by themselves.

        Of those that wait for what others have, one gives way: then the others may have enough. That a task says
        why it waits, and rightly, is looked at by `planned`.
        """
        waiting = [t for t in state.tasks.values() if t.wanted and t.state <= TaskState.PENDING]
        self._waiting = {task.id: self._waiting.get(task.id, now_s) for task in waiting}
        commands = [command for service in state.services.values() if (command := _put_right(state, service))]
        if commands:
            return commands
        for task in waiting:
            if now_s - self._waiting[task.id] > PATIENCE_S and task.service_id in state.services:
                return [_give_way(state.services[task.service_id])]
        return []


def _put_right(state: ClusterState, service: Service) -> Command | None:
    spec, kind = service.spec, service.spec.kind
    placement = spec.template.placement or ANYWHERE
    fitting = sum(fits(placement, node) for node in state.nodes.values())
    lasting = ENDING if kind.is_job else STEADY
    if spec.container.image.partition(":")[0] not in lasting or not (fitting or kind.per_node):
        return RemoveService(service.id)
    room = placement.max_replicas * fitting if placement.max_replicas else spec.replicas or 0
    # the new task of a slot finds no place beside the old one
    crowded = bool(placement.max_replicas) and starts_first(service) and not kind.is_job
    if (spec.replicas or 0) > room or crowded:
        if kind is Mode.REPLICATED:
            spec = replace(spec, mode=ServiceMode(replicated=ReplicatedMode(min(spec.replicas or 0, room))))
        return _stop_first(service, spec)
    status = service.update_status
    if status is not None and status.state in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED):
        return UpdateService(service.id, service.version, spec)
    return None


def _give_way(service: Service) -> Command:
    return _stop_first(service, service.spec) if starts_first(service) else RemoveService(service.id)


def _stop_first(service: Service, spec: ServiceSpec) -> Command:
    return UpdateService(
        service.id, service.version, replace(spec, update_config=UpdateConfig(), rollback_config=UpdateConfig())
    )


def starts_first(service: Service) -> bool:
    """Whether the new task of a slot starts before the old one stops, in an update or a rollback."""
    configs = (service.spec.update_config, service.spec.rollback_config)
    return any(config is not None and config.order == "start-first" for config in configs)


# --- what a service lacks


def lack_of(state: ClusterState, service: Service) -> str:
    """Say what a service lacks; empty if it is at rest."""
    name = service.spec.name
    if service.id in state.rebalances:
        return f"{name} is being rebalanced"
    status = service.update_status
    if service.spec.kind.is_job:
        return _lack_of_job(state, service)
    if status is not None and "completed" not in status.state:
        return f"{name} is {status.state}"
    tasks = [t for t in state.tasks_of(service.id) if t.wanted]
    if any(t.state is not TaskState.RUNNING for t in tasks):
        return f"{name}: {[(t.id, t.state.word, t.desired.word, t.status.err) for t in tasks]}"
    given_up = state.given_up.get(service.id, {})
    if service.spec.kind is Mode.REPLICATED:
        wanted = max(0, (service.spec.replicas or 0) - len(given_up))
    else:
        wanted = len([node_id for node_id in _fitting(state, service) if node_id not in given_up])
    return "" if len(tasks) == wanted else f"{name} has {len(tasks)} of {wanted} tasks"


def _fitting(state: ClusterState, service: Service) -> list[NodeId]:
    placement = service.spec.template.placement or ANYWHERE
    return [node.id for node in state.nodes.values() if fits(placement, node)]


def _lack_of_job(state: ClusterState, service: Service) -> str:
    """Say what of a job's present run is not done: each slot, or node that fits, completed or gave up."""
    live = [task for task in state.tasks_of(service.id) if not task.state.terminal]
    if live:
        return f"{service.spec.name}: {[(t.id, t.state.word, t.desired.word, t.status.err) for t in live]}"
    done = state.service_tasks.get(service.id, _NO_TASKS).completed.get(service.spec_version, {})
    ended = {**done, **state.given_up.get(service.id, {})}
    if service.spec.kind is Mode.GLOBAL_JOB:
        missing = [node_id for node_id in _fitting(state, service) if node_id not in ended]
        return f"{service.spec.name} was not done on {missing}" if missing else ""
    job = (service.spec.mode.replicated_job if service.spec.mode else None) or ReplicatedJobMode()
    wanted = job.total_completions or 0
    return "" if len(ended) == wanted else f"{service.spec.name} is done {len(ended)} times of {wanted}"
