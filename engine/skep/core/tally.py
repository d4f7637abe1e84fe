"""How a service stands in numbers, for each of its modes, and what it still lacks."""

from msgspec import Struct

from skep.core.constraints import matches_all
from skep.core.state import ClusterState
from skep.model.ids import Seat
from skep.model.service import Placement, Service
from skep.model.states import GOING, Mode, TaskState

ANYWHERE = Placement()


class Tally(Struct, frozen=True):
    """How many tasks of a service run, should run now, and completed in this run of a job."""

    running: int
    desired: int
    completed: int = 0


def tally(state: ClusterState, service: Service) -> Tally:
    """Count the tasks of a service as Swarm does (FACTS, chapters 6 and 7); at most it looks at a job's live ones."""
    of = state.service_tasks.get(service.id)
    running = of.running if of else 0
    current = of.wanted_by_spec.get(service.spec_version, {}) if of else {}
    completed = len(of.completed.get(service.spec_version, ())) if of else 0
    kind = service.spec.kind
    if kind is Mode.REPLICATED:
        return Tally(running, service.spec.replicas or 0)
    if kind is Mode.GLOBAL:
        return Tally(running, of.wanted if of else 0)
    # of a job only the present run counts: what is left of the run before may still be stopping (recorded)
    running = sum(state.tasks[i].state is TaskState.RUNNING for i in current)
    if kind is Mode.REPLICATED_JOB:
        job = service.spec.mode.replicated_job if service.spec.mode else None
        concurrent = job.max_concurrent if job else None
        return Tally(running, 1 if concurrent is None else concurrent, completed)
    return Tally(running, len(current), completed)


def lack(state: ClusterState, service: Service) -> str:
    """Say what a service still lacks to be as it is wanted; empty if nothing. A seat that gave up lacks nothing."""
    name = service.spec.name
    if service.update_status is not None and service.update_status.state in GOING and service.id in state.updates:
        return f"{name} is {service.update_status.state}"
    of = state.service_tasks.get(service.id)
    current = of.wanted_by_spec.get(service.spec_version, {}) if of else {}
    wanted = max(0, _wanted(state, service) - len(state.given_up.get(service.id, {})))
    if service.spec.kind.is_job:
        there, does = len(of.completed.get(service.spec_version, ())) if of else 0, "completed"
    else:
        there, does = sum(state.tasks[i].state is TaskState.RUNNING for i in current), "runs"
    if there == wanted and (service.spec.kind.is_job or of is None or of.running == wanted):
        return ""
    reasons = {state.tasks[i].status.err: None for i in current if state.tasks[i].status.err}
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return f"{name} {does} {there} of {wanted} tasks{because}"


def _wanted(state: ClusterState, service: Service) -> int:
    """Return how many tasks a service wants in all: running, or completed."""
    kind = service.spec.kind
    if kind is Mode.REPLICATED:
        return service.spec.replicas or 0
    if kind is Mode.REPLICATED_JOB:
        job = service.spec.mode.replicated_job if service.spec.mode else None
        total = job.total_completions if job else None
        return 1 if total is None else total
    placement = service.spec.template.placement or ANYWHERE
    nodes: dict[Seat, None] = {
        node.id: None for node in state.nodes.values() if node.schedulable and matches_all(placement.constraints, node)
    }
    of = state.service_tasks.get(service.id)
    # a node that was left since does not take back what it completed
    nodes |= dict.fromkeys(of.completed.get(service.spec_version, {}) if of else {})
    return len(nodes)
