"""What holds of a state of which no plan is due any more: each has what it wants, or a reason for what it lacks.

1. No task is wanted on a node that is down, or drained, or does not fit; but for one whose successor does not run yet.
2. A node's tasks hold no more than it has, and no unit and no port of its host twice.
3. In a seat several tasks are wanted only while an update goes through it, or until the successor runs.
4. A service has as many seats as it wants, a global one each node that fits, and a job no more than it may.
5. A task that waits says why, and it is so.
6. Nodes and tasks have an address on each of their networks, and on no other.
"""

from collections.abc import Iterable

from skep.core.indexes import ServiceTasks
from skep.core.invariants import story
from skep.core.state import ClusterState
from skep.model.ids import NetworkId, NodeId, Seat
from skep.model.node import Node
from skep.model.service import NamedResource, ReplicatedJobMode, RestartPolicy, Service, TaskTemplate
from skep.model.states import GOING, Mode, NodeState, TaskState
from skep.model.task import Task
from skep.testing.simulation.always import Failed
from skep.testing.simulation.containers import wrongly_attached
from skep.testing.simulation.places import ANYWHERE, fits
from skep.testing.simulation.waiting import (
    given,
    given_addresses,
    holding,
    host_ports,
    reserved,
    units,
    wrong_reason,
    wrongly_bare,
    wrongly_detached,
    wrongly_unserved,
)

_NO_TASKS = ServiceTasks()
_NO_POLICY = RestartPolicy()


def check_planned(state: ClusterState) -> None:
    """Return if all is as it must be when no plan is due.

    Raises:
        Failed: it is not; the message has the story of whom.
    """
    for node in state.nodes.values():
        _fail(state, _wrong_node(state, node), node.id)
        _fail(state, wrongly_detached(state, node), node.id)
        _fail(state, wrongly_attached(state, node), node.id)
    for network in state.networks.values():
        _fail(state, wrongly_bare(state, network), network.id)
    for service in state.services.values():
        _fail(state, _wrong_seats(state, service), service.id)
        _fail(state, wrongly_unserved(state, service), service.id)
        _fail(state, _WRONG[service.spec.kind](state, service), service.id)
    for task in state.tasks.values():
        if task.wanted and not task.state.terminal and task.service_id in state.services:
            _fail(state, wrong_reason(state, task) or _wrong_addresses(state, task), task.id)


def _fail(state: ClusterState, what: str, object_id: str) -> None:
    if what:
        raise Failed(f"at {state.position}, with no plan due: {what}\n{story(state, object_id)}")


# --- nodes


def _wrong_node(state: ClusterState, node: Node) -> str:
    there = [task for task in state.tasks_on(node.id) if task.wanted and not task.state.terminal]
    if not node.fit:
        for task in there:
            if node.status.state is NodeState.DOWN or not _is_followed(state, task):
                return f"task {task.id} is wanted on node {node.id}, which is not to have any"
    living = [task for task in state.tasks_on(node.id) if not task.state.terminal]
    joined = {i: None for task in living for i in _networks(state, task)} | {state.ingress_id: None}
    joined |= {one.network_id: None for one in state.attachments.values() if one.node_id == node.id}
    for attachment in node.attachments:
        if attachment.network_id not in joined:
            return f"node {node.id} has {attachment} for no task"
    return _wrong_holdings(state, node, there) if node.schedulable else ""


def _is_followed(state: ClusterState, task: Task) -> bool:
    seat = state.tasks_in(task.service_id, task.seat)
    return any(other.wanted and other.origin.created > task.origin.created for other in seat)


def _networks(state: ClusterState, task: Task) -> list[NetworkId]:
    return [one.network_id for one in given_addresses(state, task)]


def _wrong_holdings(state: ClusterState, node: Node, wanted: list[Task]) -> str:
    """Say what a node that takes tasks may not have; what is stopping may hold more than it has by now."""
    placed = [task for task in wanted if task.state >= TaskState.ASSIGNED]
    for task in placed:
        service = state.services.get(task.service_id)
        specs = [state.template_of(task).spec, *([service.spec.template] if service is not None else ())]
        if not any(fits(spec.placement or ANYWHERE, node) for spec in specs):
            return f"task {task.id} is on node {node.id}, which does not fit"
    has, held = node.description.resources, [reserved(state.template_of(task).spec.resources) for task in placed]
    if has is not None:
        if sum(one.nano_cpus for one in held) > has.nano_cpus:
            return f"tasks reserve more CPUs than node {node.id} has"
        if sum(one.memory_bytes for one in held) > has.memory_bytes:
            return f"tasks reserve more memory than node {node.id} has"
        there = units(has)
        for kind in there:
            if sum(units(given(state, task)).get(kind, 0) for task in placed) > there[kind]:
                return f"tasks hold more of {kind} than node {node.id} has"
    ports = [port for task in holding(state, node) for port in host_ports(state.template_of(task))]
    if _twice(ports):
        return f"node {node.id} has a port twice: {ports}"
    named = [unit for task in holding(state, node) for unit in _named(state, task)]
    return f"node {node.id} gave a unit twice: {named}" if _twice(named) else ""


def _named(state: ClusterState, task: Task) -> list[NamedResource]:
    resources = given(state, task).generic_resources
    return [one.named_resource_spec for one in resources if one.named_resource_spec is not None]


def _twice(things: list[object] | list[tuple[str, int]] | list[NamedResource]) -> bool:
    return len(dict.fromkeys(things)) < len(things)


# --- services


def _wrong_seats(state: ClusterState, service: Service) -> str:
    index = state.service_tasks.get(service.id, _NO_TASKS)
    for seat, task_ids in index.wanted_by_seat.items():
        tasks = [state.tasks[i] for i in task_ids]
        running = [t for t in tasks if t.desired is TaskState.RUNNING and not t.state.terminal]
        if len(running) > 1 and not _is_updating(service):
            present = service.spec_version
            stays = max(tasks, key=lambda task: (task.origin.spec_version == present, task.origin.created))
            if stays.state is TaskState.RUNNING or not stays.origin.replaces:
                return f"seat {seat} of {service.spec.name} has several tasks: {[task.id for task in running]}"
    for seat, task_id in state.given_up.get(service.id, {}).items():
        last = state.tasks[task_id]
        policy = state.template_of(last).spec.restart_policy or _NO_POLICY
        if service.spec.kind.per_node and not _takes_tasks(state, service, seat):
            continue  # it is tried again as soon as its node takes tasks
        if last.origin.spec_version == service.spec_version and not _may_give_up(policy):
            return f"seat {seat} of {service.spec.name} gave up, and its policy is {policy}"
    return ""


def _takes_tasks(state: ClusterState, service: Service, seat: Seat) -> bool:
    node = state.nodes.get(NodeId(str(seat)))
    return node is not None and node.schedulable and fits(service.spec.template.placement or ANYWHERE, node)


def _is_updating(service: Service) -> bool:
    status = service.update_status
    return status is not None and (status.state in GOING or not status.completed_at)


def _may_give_up(policy: RestartPolicy) -> bool:
    return policy.condition not in ("", "any") or bool(policy.max_attempts)


def _wrong_replicas(state: ClusterState, service: Service) -> str:
    index = state.service_tasks.get(service.id, _NO_TASKS)
    seats = len(index.wanted_by_seat) + len(state.given_up.get(service.id, {}))
    return "" if seats == service.spec.replicas else f"{service.spec.name} has {seats} of {service.spec.replicas} tasks"


def _wrong_globals(state: ClusterState, service: Service) -> str:
    """Say which node that fits has no task of a service, or which has one and does not fit."""
    index = state.service_tasks.get(service.id, _NO_TASKS)
    used = {**index.wanted_by_seat, **index.completed.get(service.spec_version, {})}
    used |= state.given_up.get(service.id, {})
    placement = service.spec.template.placement or ANYWHERE
    for node in state.nodes.values():
        if node.schedulable and fits(placement, node) and node.id not in used:
            return f"{service.spec.name} has no task on node {node.id}"
    for seat, task_ids in index.wanted_by_seat.items():
        of = [state.tasks[i] for i in task_ids if not state.tasks[i].state.terminal]
        there = next((node for node in state.nodes.values() if node.id == seat), None)
        if of and (there is None or (there.schedulable and not fits(placement, there))):
            return f"{service.spec.name} has a task on node {seat}, which does not fit"
        if _wrong_run(service, of):
            return f"{service.spec.name} goes on with a run that is over: {of}"
    return ""


def _wrong_job(state: ClusterState, service: Service) -> str:
    """Say what a replicated job has too much, or too little."""
    index = state.service_tasks.get(service.id, _NO_TASKS)
    job = (service.spec.mode.replicated_job if service.spec.mode else None) or ReplicatedJobMode()
    total, at_once = job.total_completions or 0, job.max_concurrent or 0
    done = index.completed.get(service.spec_version, {})
    live = [state.tasks[i] for tasks in index.wanted_by_seat.values() for i in tasks]
    if _wrong_run(service, live):
        return f"{service.spec.name} goes on with a run that is over: {live}"
    slots: list[Seat] = [*done, *state.given_up.get(service.id, {}), *(task.slot for task in live)]
    if len(dict.fromkeys(slots)) < len(slots) or any(not 0 <= int(slot) < total for slot in slots):
        return f"{service.spec.name} has slots {slots} of {total}"
    if len(live) > at_once or (len(live) < at_once and len(slots) < total):
        return f"{service.spec.name} has {len(live)} tasks of {at_once} at once, and {len(slots)} of {total} slots"
    return ""


def _wrong_run(service: Service, live: Iterable[Task]) -> bool:
    return service.spec.kind.is_job and any(task.origin.spec_version != service.spec_version for task in live)


_WRONG = {
    Mode.REPLICATED: _wrong_replicas,
    Mode.GLOBAL: _wrong_globals,
    Mode.REPLICATED_JOB: _wrong_job,
    Mode.GLOBAL_JOB: _wrong_globals,
}


# --- networks


def _wrong_addresses(state: ClusterState, task: Task) -> str:
    if task.state is TaskState.NEW:
        return ""
    template: TaskTemplate = state.template_of(task)
    wanted = [NetworkId(one.target) for one in template.networks if one.target in state.networks]
    if any(port.publish_mode in ("", "ingress") for port in template.ports):
        wanted.append(state.ingress_id)
    has = [network_id for network_id in _networks(state, task) if network_id in state.networks]
    return "" if sorted(has) == sorted(wanted) else f"task {task.id} has addresses on {has}, and joins {wanted}"
