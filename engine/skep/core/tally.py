"""How a service stands in numbers, for each of its modes, and what it still lacks."""

from msgspec import Struct

from skep.core.eligible import Eligibility
from skep.core.state import ClusterState
from skep.model.ids import NodeId, Seat
from skep.model.node import Node
from skep.model.service import Service
from skep.model.states import GOING, Availability, Mode, NodeState, TaskState


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
    wanted = _wanted(state, service)
    if service.spec.kind.is_job:
        there, does = len(of.completed.get(service.spec_version, ())) if of else 0, "completed"
    else:
        there, does = sum(state.tasks[i].state is TaskState.RUNNING for i in current), "runs"
    running = of.running - _left_out(state, service) if of else 0
    if running > wanted:
        running -= _unheard(state, service)
    if there == wanted and (service.spec.kind.is_job or running == wanted):
        return ""
    reasons = {state.tasks[i].status.err: None for i in current if state.tasks[i].status.err}
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return f"{name} {does} {there} of {wanted} tasks{because}"


def _wanted(state: ClusterState, service: Service) -> int:
    """Return how many tasks a service wants in all: running, or completed. A seat that gave up wants none."""
    kind, given_up = service.spec.kind, state.given_up.get(service.id, {})
    if kind is Mode.REPLICATED:
        return max(0, (service.spec.replicas or 0) - len(given_up))
    if kind is Mode.REPLICATED_JOB:
        job = service.spec.mode.replicated_job if service.spec.mode else None
        total = job.total_completions if job else None
        return max(0, (1 if total is None else total) - len(given_up))
    wanted = Eligibility(service)
    seats: dict[Seat, None] = {
        node.id: None for node in state.nodes.values() if wanted.wants(node) or (_is_new(node) and wanted.allows(node))
    }
    of = state.service_tasks.get(service.id)
    if of is not None:
        # a node that takes no new tasks keeps what it has, and one that left does not take back what it completed
        seats |= {state.tasks[i].seat: None for i in of.wanted_by_spec.get(service.spec_version, ())}
        seats |= dict.fromkeys(of.completed.get(service.spec_version, ()))
    return sum(seat not in given_up for seat in seats)


def _is_new(node: Node) -> bool:
    """Whether a node that would take tasks was not heard yet, as those of a swarm that just begins."""
    return node.status.state is NodeState.UNKNOWN and node.spec.availability is Availability.ACTIVE


def _left_out(state: ClusterState, service: Service) -> int:
    """Return how many tasks an update leaves alone, since their nodes take no new ones."""
    of = state.service_tasks.get(service.id)
    if of is None or service.spec.kind is not Mode.GLOBAL:
        return 0
    nodes = (state.nodes.get(NodeId(str(seat))) for seat in of.stale if seat in of.wanted_by_seat)
    return sum(node is not None and not node.schedulable for node in nodes)


def _unheard(state: ClusterState, service: Service) -> int:
    """Return how many tasks are to stop on nodes that are down: nobody can say when they did (FACTS, chapter 4)."""
    return sum(
        task.state is TaskState.RUNNING
        and task.desired > TaskState.COMPLETE
        and (node := state.nodes.get(task.node_id)) is not None
        and node.status.state is NodeState.DOWN
        for task in state.tasks_of(service.id)
    )
