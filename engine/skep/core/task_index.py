"""How tasks and services enter, change in, and leave the indexes. No other code changes an index."""

from typing import TypeVar

from skep.core.indexes import NodeTasks, ServiceTasks, Topic
from skep.core.state import ClusterState
from skep.model.ids import NO_NODE, NO_TASK, ConfigId, NodeId, SecretId, ServiceId, TaskId
from skep.model.service import Service, ServiceSpec
from skep.model.states import NodeState, TaskState
from skep.model.task import Task

K = TypeVar("K")

RUNNING = TaskState.RUNNING


def add(state: ClusterState, task: Task) -> None:
    """Put a task that the tables already hold into the indexes."""
    service_id, origin = task.service_id, task.origin
    of = service_index(state, service_id)
    task_id = origin.id
    of.all[task_id] = None
    of.spec_refs[origin.spec_version] = of.spec_refs.get(origin.spec_version, 0) + 1
    if origin.slot:
        slot = of.slots[origin.slot] = (*of.slots.get(origin.slot, ()), task_id)
        if len(slot) > state.history_limit:
            of.crowded[origin.slot] = None
            state.touched.keys[Topic.REAPABLE, service_id] = None
    if task.node_id:
        state.node_tasks.setdefault(task.node_id, NodeTasks()).all[task_id] = None
    _enter(state, of, task)


def remove(state: ClusterState, task: Task) -> None:
    """Take a task that is being forgotten out of the indexes."""
    service_id, origin = task.service_id, task.origin
    of = state.service_tasks[service_id]
    _leave(state, of, task)
    task_id = origin.id
    del of.all[task_id]
    if origin.slot:
        left = _discard_from_slot(of.slots, origin.slot, task_id)
        if left <= state.history_limit:
            of.crowded.pop(origin.slot, None)
    if task.node_id:
        del state.node_tasks[task.node_id].all[task_id]
    _unblock(state, of, task_id)
    _drop_template(state, of, task)
    if not of.all:
        del state.service_tasks[service_id]
        state.given_up.pop(service_id, None)
    state.touched.keys[Topic.STOPPED, service_id] = None


def service_index(state: ClusterState, service_id: ServiceId) -> ServiceTasks:
    """Return the index of a service's tasks, made if there is none."""
    of = state.service_tasks.get(service_id)
    if of is None:
        of = state.service_tasks[service_id] = ServiceTasks()
    return of


def swap(state: ClusterState, old: Task, new: Task) -> None:
    """Replace a task in table and indexes by its next version."""
    state.tasks[new.origin.id] = new
    was, now = old.status.state, new.status.state
    if old.desired is new.desired and old.node_id == new.node_id and now <= RUNNING and was >= TaskState.ASSIGNED:
        # the way of nearly every report: nothing that an index asks changed, but that it runs
        if now is RUNNING and was is not RUNNING:
            state.service_tasks[new.service_id].running += 1
            state.touched.keys[Topic.RUNNING, new.service_id] = None
        return
    of = state.service_tasks[new.service_id]
    _leave(state, of, old)
    if new.node_id != old.node_id:
        state.node_tasks.setdefault(new.node_id, NodeTasks()).all[new.origin.id] = None
    _enter(state, of, new)
    if now > RUNNING:
        _unblock(state, of, new.origin.id)


def add_pending(state: ClusterState, of: ServiceTasks, tasks: list[Task]) -> None:
    """Put new tasks of one template, all PENDING and wanted RUNNING, into the indexes; as `add`, but all at once."""
    origin = tasks[0].origin
    ids = dict.fromkeys([task.origin.id for task in tasks])
    of.all |= ids
    of.wanted |= ids
    of.wanted_by_spec.setdefault(origin.spec_version, {}).update(ids)
    of.pending |= ids
    of.spec_refs[origin.spec_version] = of.spec_refs.get(origin.spec_version, 0) + len(tasks)
    limit, slots, wanted = state.history_limit, of.slots, of.wanted_by_slot
    for task in tasks:
        slot, only = task.origin.slot, (task.origin.id,)
        if slot not in slots:
            slots[slot] = wanted[slot] = only
            continue
        slots[slot] += only
        wanted[slot] = wanted.get(slot, ()) + only
        if len(slots[slot]) > limit:
            of.crowded[slot] = None
            state.touched.keys[Topic.REAPABLE, origin.service_id] = None
    state.pending[origin.service_id] = None
    state.touched.keys[Topic.PENDING, ""] = None
    state.touched.keys[Topic.WANTED, origin.service_id] = None


def rejudge_node(state: ClusterState, node_id: NodeId) -> None:
    """Look again at what waits for tasks of a node: one that is down can no longer tell that they stopped."""
    index = state.node_tasks.get(node_id)
    for task_id in index.all if index else ():
        of = state.service_tasks[state.tasks[task_id].service_id]
        waiting = of.waiters.get(task_id)
        if waiting is not None:
            _stop_waiting(of, task_id, waiting)
            _wait(state, of, state.tasks[waiting])


def reindex(state: ClusterState) -> None:
    """Build every index anew from the tables. What it touches is left to be taken."""
    state.service_tasks, state.node_tasks, state.pending, state.ports = {}, {}, {}, {}
    state.secret_users, state.config_users = {}, {}
    state.service_names = {service.spec.name.lower(): service.id for service in state.services.values()}
    state.secret_names = {secret.spec.name: secret.id for secret in state.secrets.values()}
    state.config_names = {config.spec.name: config.id for config in state.configs.values()}
    for service in state.services.values():
        use(state, service.id, service.spec)
        hold_ports(state, service)
    for task in state.tasks.values():
        add(state, task)


def judge_given_up(state: ClusterState, old: Task, new: Task) -> None:
    """Note that a slot gave up: its last task ended by itself, is wanted no more, and nothing replaces it."""
    slot = new.origin.slot
    if not slot:
        return
    if new.desired is TaskState.REMOVE:
        revive(state, new.service_id, slot)
    elif old.desired <= RUNNING and old.status.state > RUNNING and new.desired is TaskState.SHUTDOWN:
        of = state.service_tasks[new.service_id]
        if slot not in of.wanted_by_slot and new.service_id in state.services:
            state.given_up.setdefault(new.service_id, {})[slot] = new.origin.id


def revive(state: ClusterState, service_id: ServiceId, slot: int) -> None:
    """Note that a slot is used again, or gone."""
    slots = state.given_up.get(service_id)
    if slots is not None and slots.pop(slot, None) is not None and not slots:
        del state.given_up[service_id]


def judge_slots(state: ClusterState) -> None:
    """Look at every slot again, after the history limit changed."""
    limit = state.history_limit
    for service_id, of in state.service_tasks.items():
        of.crowded = {slot: None for slot, tasks in of.slots.items() if len(tasks) > limit}
        if of.crowded:
            state.touched.keys[Topic.REAPABLE, service_id] = None


def use(state: ClusterState, service_id: ServiceId, spec: ServiceSpec) -> None:
    """Note which secrets and configs a service uses."""
    for secret in spec.container.secrets:
        state.secret_users.setdefault(SecretId(secret.secret_id), {})[service_id] = None
    for config in spec.container.configs:
        state.config_users.setdefault(ConfigId(config.config_id), {})[service_id] = None


def disuse(state: ClusterState, service_id: ServiceId, spec: ServiceSpec) -> None:
    """Note that a service uses its secrets and configs no more."""
    for secret in spec.container.secrets:
        _discard_user(state.secret_users, SecretId(secret.secret_id), service_id)
    for config in spec.container.configs:
        _discard_user(state.config_users, ConfigId(config.config_id), service_id)


def hold_ports(state: ClusterState, service: Service) -> None:
    """Note the ingress ports that a service has, or asks for by number and will be given."""
    for key in ingress_ports(service):
        state.ports[key] = service.id


def free_ports(state: ClusterState, service: Service) -> None:
    """Note that a service publishes its ports no more."""
    for key in ingress_ports(service):
        if state.ports.get(key) == service.id:
            del state.ports[key]


def ingress_ports(service: Service) -> dict[tuple[str, int], None]:
    """Return what a service holds: (protocol, port)."""
    asked = service.spec.endpoint_spec.ports if service.spec.endpoint_spec else ()
    had = service.endpoint.ports if service.endpoint else ()
    return {
        (port.protocol or "tcp", port.published_port): None
        for port in (*had, *asked)
        if port.publish_mode in ("", "ingress") and port.published_port
    }


def _discard_user(index: dict[K, dict[ServiceId, None]], key: K, service_id: ServiceId) -> None:
    users = index.get(key, {})
    users.pop(service_id, None)
    if not users:
        index.pop(key, None)


def _enter(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    origin, status = task.origin, task.status.state
    if status is RUNNING:
        of.running += 1
        state.touched.keys[Topic.RUNNING, origin.service_id] = None
    if task.desired <= RUNNING:
        state.touched.keys[Topic.WANTED, origin.service_id] = None
        of.wanted[origin.id] = None
        of.wanted_by_spec.setdefault(origin.spec_version, {})[origin.id] = None
        if origin.slot:
            of.wanted_by_slot[origin.slot] = (*of.wanted_by_slot.get(origin.slot, ()), origin.id)
        if status > RUNNING:
            of.ended[origin.id] = None
            state.touched.keys[Topic.ENDED, origin.service_id] = None
        else:
            _enter_alive(state, of, task)
        return
    if status > RUNNING:
        state.touched.keys[Topic.STOPPED, origin.service_id] = None
    if not task.node_id or (status > RUNNING and task.desired is TaskState.REMOVE):
        of.reapable[origin.id] = None
        state.touched.keys[Topic.REAPABLE, origin.service_id] = None


def _enter_alive(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Enter a task that is wanted and has not ended."""
    task_id, service_id, status = task.origin.id, task.origin.service_id, task.status.state
    if status is TaskState.NEW:
        of.unallocated[task_id] = None
        state.touched.keys[Topic.NEW, service_id] = None
    elif status is TaskState.PENDING:
        of.pending[task_id] = None
        state.pending[service_id] = None
        state.touched.keys[Topic.PENDING, ""] = None
    if task.desired is TaskState.READY:
        _wait(state, of, task)
    if task.node_id:
        state.node_tasks[task.node_id].count(task, 1)


def _leave(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    origin, status = task.origin, task.status.state
    task_id = origin.id
    if status is RUNNING:
        of.running -= 1
    of.reapable.pop(task_id, None)
    if task.desired > RUNNING:
        return
    state.touched.keys[Topic.WANTED, origin.service_id] = None
    del of.wanted[task_id]
    _discard(of.wanted_by_spec, origin.spec_version, task_id)
    if origin.slot:
        _discard_from_slot(of.wanted_by_slot, origin.slot, task_id)
    if status > RUNNING:
        of.ended.pop(task_id, None)
        return
    of.unallocated.pop(task_id, None)
    of.pending.pop(task_id, None)
    if not of.pending:
        state.pending.pop(origin.service_id, None)
    if task.desired is TaskState.READY:
        _stop_waiting(of, origin.replaces, task_id)
    if task.node_id:
        state.node_tasks[task.node_id].count(task, -1)


def _wait(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Put a task that is wanted READY where what it waits for will find it."""
    origin = task.origin
    if origin.replaces != NO_TASK:
        of.waiters[origin.replaces] = origin.id
    if origin.replaces != NO_TASK and _may_confirm(state, origin.replaces):
        of.blocked[origin.id] = None
    elif origin.start_at:
        of.timed[origin.id] = None
    else:
        of.startable[origin.id] = None
    state.touched.keys[Topic.WAITING, origin.service_id] = None


def _stop_waiting(of: ServiceTasks, replaces: TaskId, task_id: TaskId) -> None:
    of.blocked.pop(task_id, None)
    of.timed.pop(task_id, None)
    of.startable.pop(task_id, None)
    if of.waiters.get(replaces) == task_id:
        del of.waiters[replaces]


def _may_confirm(state: ClusterState, task_id: TaskId) -> bool:
    """Whether it is still to be heard that a task stopped."""
    task = state.tasks.get(task_id)
    if task is None or task.status.state > RUNNING or task.node_id == NO_NODE:
        return False
    node = state.nodes.get(task.node_id)
    return node is not None and node.status.state not in (NodeState.DOWN, NodeState.DISCONNECTED)


def _unblock(state: ClusterState, of: ServiceTasks, task_id: TaskId) -> None:
    """Let go what waits for `task_id`, which ended or is being forgotten."""
    waiting = of.waiters.get(task_id)
    if waiting is not None:
        _stop_waiting(of, task_id, waiting)
        _wait(state, of, state.tasks[waiting])


def _drop_template(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    spec_version = task.origin.spec_version
    of.spec_refs[spec_version] -= 1
    if of.spec_refs[spec_version]:
        return
    del of.spec_refs[spec_version]
    service = state.services.get(task.service_id)
    if service is not None and service.spec_version == spec_version:
        return
    templates = state.templates[task.service_id]
    del templates[spec_version]
    if not templates:
        del state.templates[task.service_id]


def _discard(index: dict[K, dict[TaskId, None]], key: K, task_id: TaskId) -> None:
    members = index[key]
    del members[task_id]
    if not members:
        del index[key]


def _discard_from_slot(slots: dict[int, tuple[TaskId, ...]], slot: int, task_id: TaskId) -> int:
    """Take a task out of a slot, and return how many are left."""
    left = tuple(i for i in slots[slot] if i != task_id)
    if left:
        slots[slot] = left
    else:
        del slots[slot]
    return len(left)
