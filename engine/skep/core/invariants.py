"""What always holds of a state, checked at the end of every test and simulation; never in production's way.

1. Every index is what its tables make it (order aside).
2. A task's template is kept, and no template is kept that nobody names.
3. A task is on a known node, or has ended; between ASSIGNED and RUNNING it has a node.
4. Only such states are wanted as may be, and REMOVE is never observed.
5. A port of the ingress has one holder, and a name one object.
6. In a slot one task is wanted running, unless an update is about to replace it, or does, or it is handed over.
7. No address, subnet or VXLAN id is held twice, or by nobody; an address lies in its network.
8. Nothing is newer than the state, or older than its own creation.
9. An attachment is on a known node and a known network, and has not ended.

`check` costs a copy and a rebuild of all.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from skep.core.address_invariants import check_addresses
from skep.core.rejected import Broken
from skep.core.state import FIRST_DYNAMIC_PORT, LAST_DYNAMIC_PORT, RECENT_MAX, ClusterState
from skep.core.task_index import reindex
from skep.model.ids import NO_TASK, START, ServiceId, TaskId
from skep.model.node import Node
from skep.model.secret import Config, Secret
from skep.model.service import Service
from skep.model.states import DESIRED_STATES, TaskState, UpdateState
from skep.model.swarm import Cluster
from skep.model.task import Task

_PLAIN_INDEXES = (
    "closed",
    "config_names",
    "addresses",
    "capacities",
    "config_users",
    "detached",
    "host_ports",
    "network_attachments",
    "network_names",
    "network_users",
    "node_attachments",
    "node_networks",
    "node_services",
    "pending",
    "ports",
    "secret_names",
    "secret_users",
    "service_names",
    "unallocated",
)

#: While an update is in one of these, a slot may hold its old task and its new one.
_REPLACING = frozenset(
    {UpdateState.UPDATING, UpdateState.PAUSED, UpdateState.ROLLBACK_STARTED, UpdateState.ROLLBACK_PAUSED}
)


def check(state: ClusterState) -> None:
    """Return if `state` is whole.

    Raises:
        Broken: it is not; the message says what does not hold, and the story of whom.
    """
    for task in state.tasks.values():
        _check_task(state, task)
    for service in state.services.values():
        _check_service(state, service)
    _check_templates(state)
    _check_names(state)
    _check_ages(state)
    _check_rest(state)
    _check_attachments(state)
    check_addresses(state, lambda what, object_id: _broken(state, what, object_id))
    _check_indexes(state)
    for service_id in state.services:
        _check_slots(state, service_id)


def story(state: ClusterState, object_id: str) -> str:
    """Return all that the state says of an object, and of what it stands on, as lines of JSON."""
    return "\n".join(f"  {what}: {_json(thing)}" for what, thing in _story(state, object_id))


def _story(state: ClusterState, object_id: str) -> Iterator[tuple[str, object]]:
    task = state.tasks.get(TaskId(object_id))
    if task is not None:
        yield "task", task
        before = state.tasks.get(task.origin.replaces)
        if before is not None:
            yield "replaces", before
        yield "service", state.services.get(task.service_id, "gone")
        yield "templates", sorted(state.templates.get(task.service_id, {}))
        yield "node", state.nodes.get(task.node_id, "gone") if task.node_id else "none"
        return
    tables: tuple[tuple[str, Mapping[Any, object]], ...] = (
        ("service", state.services),
        ("node", state.nodes),
        ("secret", state.secrets),
        ("config", state.configs),
        ("attachment", state.attachments),
    )
    for what, table in tables:
        if object_id in table:
            yield what, table[object_id]
    for task in state.tasks_of(ServiceId(object_id)) if object_id in state.service_tasks else ():
        yield "task", task


def _json(thing: object) -> str:
    return msgspec.json.encode(thing, enc_hook=repr).decode()


def _broken(state: ClusterState, what: str, object_id: str) -> Broken:
    return Broken(f"at {state.position}: {what}\n{story(state, object_id)}")


def _check_task(state: ClusterState, task: Task) -> None:
    def broken(what: str) -> Broken:
        return _broken(state, f"task {task.id} {what}", task.id)

    if task.origin.spec_version not in state.templates.get(task.service_id, {}):
        raise broken(f"names template {task.origin.spec_version}, which is not kept")
    if task.desired not in DESIRED_STATES:
        raise broken(f"is wanted {task.desired.word}, which nothing may be wanted")
    if task.state is TaskState.REMOVE:
        raise broken("is in state remove, which is only ever wanted")
    if not task.node_id and TaskState.ASSIGNED <= task.state <= TaskState.RUNNING:
        raise broken(f"is {task.state.word} without a node")
    if task.node_id and task.node_id not in state.nodes and not task.state.terminal:
        raise broken(f"is {task.state.word} on node {task.node_id}, which is unknown")
    if not START < task.origin.created <= task.version <= state.position:
        raise broken(f"was created at {task.origin.created} and is of version {task.version}")
    if task.updated_at > state.time or task.origin.created_at > task.updated_at:
        raise broken("is newer than the state, or older than its creation")


def _check_service(state: ClusterState, service: Service) -> None:
    if service.spec_version not in state.templates.get(service.id, {}):
        raise _broken(state, f"service {service.id} has lost its template {service.spec_version}", service.id)
    if service.spec_version > service.version:
        raise _broken(state, f"service {service.id} has a template of the future", service.id)
    for port in service.endpoint.ports if service.endpoint else ():
        holder = state.ports.get((port.protocol, port.published_port))
        if port.publish_mode == "ingress" and holder != service.id:
            what = f"service {service.id} publishes {port.protocol} {port.published_port}, which {holder} holds"
            raise _broken(state, what, service.id)


def _check_templates(state: ClusterState) -> None:
    for service_id, templates in state.templates.items():
        service = state.services.get(service_id)
        index = state.service_tasks.get(service_id)
        for spec_version in templates:
            if (service is None or service.spec_version != spec_version) and (
                index is None or spec_version not in index.spec_refs
            ):
                raise _broken(state, f"template {spec_version} of service {service_id} is kept for nobody", service_id)
    for service_id in state.departed:
        if service_id in state.services or service_id not in state.templates:
            raise _broken(state, f"labels of service {service_id} are kept for nobody", service_id)


def _check_names(state: ClusterState) -> None:
    for what, table, names in (
        ("services", state.services, state.service_names),
        ("secrets", state.secrets, state.secret_names),
        ("configs", state.configs, state.config_names),
        ("networks", state.networks, state.network_names),
    ):
        if len(table) != len(names):
            raise _broken(state, f"{len(table)} {what} have {len(names)} names", "")


def _check_ages(state: ClusterState) -> None:
    aged: list[Cluster | Node | Service | Secret | Config] = [
        *state.nodes.values(),
        *state.services.values(),
        *state.secrets.values(),
        *state.configs.values(),
    ]
    if state.cluster is not None:
        aged.append(state.cluster)
    for thing in aged:
        if not START < thing.written <= thing.version <= state.position:
            what = f"{thing.id} is of version {thing.version}, written at {thing.written}"
            raise _broken(state, what, thing.id)
        if not thing.created_at <= thing.updated_at <= state.time:
            raise _broken(state, f"{thing.id} is newer than the state, or older than its creation", thing.id)


def _check_rest(state: ClusterState) -> None:
    if not FIRST_DYNAMIC_PORT <= state.next_port <= LAST_DYNAMIC_PORT:
        raise _broken(state, f"the next dynamic port is {state.next_port}", "")
    if len(state.recent) > RECENT_MAX or any(position > state.position for position in state.recent.values()):
        raise _broken(state, f"{len(state.recent)} commands are remembered, or some of the future", "")
    for name, positions in state.stack_positions.items():
        if positions != sorted(set(positions)) or positions[-1] > state.position:
            raise _broken(state, f"the changes of stack {name} are not in their order, or of the future", "")
    for service_id, slots in state.given_up.items():
        wanted = state.service_tasks[service_id].wanted_by_seat if service_id in state.service_tasks else {}
        for slot in slots:
            if service_id not in state.services or slot in wanted:
                raise _broken(state, f"slot {slot} of service {service_id} gave up, and is wanted", service_id)


def _check_attachments(state: ClusterState) -> None:
    for one in state.attachments.values():
        if one.node_id not in state.nodes or one.network_id not in state.networks:
            raise _broken(state, f"attachment {one.id} is on a node or a network that is unknown", one.id)
        if not TaskState.ASSIGNED <= one.status.state <= TaskState.RUNNING:
            raise _broken(state, f"attachment {one.id} is {one.status.state.word}", one.id)
        if one.id in state.tasks:
            raise _broken(state, f"attachment {one.id} is a task, too", one.id)
        if one.version > state.position or not one.created_at <= one.updated_at <= state.time:
            raise _broken(state, f"attachment {one.id} is newer than the state, or older than its creation", one.id)


def _check_indexes(state: ClusterState) -> None:
    rebuilt = state.copy()
    reindex(rebuilt)
    for name in _PLAIN_INDEXES:
        _compare(state, name, getattr(state, name), getattr(rebuilt, name))
    _compare(state, "service_tasks", _values(state.service_tasks), _values(rebuilt.service_tasks))
    # a node keeps its index when its last task is gone
    nodes = {key: value for key, value in _values(state.node_tasks).items() if any(value.values())}
    _compare(state, "node_tasks", nodes, _values(rebuilt.node_tasks))


def _values(index: Mapping[Any, Any]) -> dict[str, dict[str, object]]:
    return {key: value.value() for key, value in index.items()}


def _compare(state: ClusterState, name: str, live: Mapping[Any, Any], rebuilt: Mapping[Any, Any]) -> None:
    if live == rebuilt:
        return
    for key in {**live, **rebuilt}:
        has, should = live.get(key), rebuilt.get(key)
        if has == should:
            continue
        if isinstance(has, dict) and isinstance(should, dict):
            fields = [field for field in {**has, **should} if has.get(field) != should.get(field)]
            has, should = {f: has.get(f) for f in fields}, {f: should.get(f) for f in fields}
        raise _broken(state, f"index {name}[{key!r}] is {has!r}, and its tables say {should!r}", str(key))


def _check_slots(state: ClusterState, service_id: ServiceId) -> None:
    index = state.service_tasks.get(service_id)
    status = state.services[service_id].update_status
    if index is None or (status is not None and status.state in _REPLACING):
        return
    for slot, members in index.wanted_by_seat.items():
        running = [
            task
            for task in (state.tasks[task_id] for task_id in members)
            if task.desired is TaskState.RUNNING and not task.state.terminal
        ]
        for other, task in itertools.pairwise(running):
            if not _replaces(other, task) and not _follows(state, task, other):
                what = f"slot {slot} of service {service_id} has two tasks, {other.id} and {task.id}"
                raise _broken(state, what, service_id)


def _follows(state: ClusterState, task: Task, other: Task) -> bool:
    """Whether one replaces the other by way of tasks that ended meanwhile, some of which may be forgotten."""
    newer, older = (task, other) if task.origin.created > other.origin.created else (other, task)
    before = newer.origin.replaces
    while before != older.id and before in state.tasks:
        before = state.tasks[before].origin.replaces
    return before == older.id or (before != NO_TASK and before not in state.tasks)


def _replaces(one: Task, other: Task) -> bool:
    """Whether an update that has not begun yet, or a handover that is not done, explains that there are two.

    What replaced the older one may itself have ended, been replaced and been forgotten before it ran.
    """
    newer = max(one, other, key=lambda task: task.origin.created)
    return one.origin.spec_version != other.origin.spec_version or bool(newer.origin.replaces)
