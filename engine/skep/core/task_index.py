"""How tasks enter, change in, and leave the indexes. No other code changes an index of tasks."""

from typing import TypeVar

from skep.core import address_index, node_index, service_index
from skep.core.indexes import NodeTasks, ServiceTasks, Shifts, Topic
from skep.core.seats import may_stay, successor
from skep.core.state import ClusterState
from skep.model.ids import NO_NODE, NO_SLOT, NO_TASK, NodeId, Position, Seat, ServiceId, TaskId
from skep.model.states import NodeState, TaskState
from skep.model.task import Task

K = TypeVar("K")

RUNNING = TaskState.RUNNING
COMPLETE = TaskState.COMPLETE


def add(state: ClusterState, task: Task) -> None:
    """Put a task that the tables already hold into the indexes."""
    service_id, origin = task.service_id, task.origin
    of = tasks_of(state, service_id)
    task_id = origin.id
    of.all[task_id] = None
    node_index.count_template(state, of, service_id, origin.spec_version)
    seat = task.seat
    seated = of.seats[seat] = (*of.seats.get(seat, ()), task_id)
    if len(seated) > state.history_limit:
        of.crowded[seat] = None
        state.touched.keys[Topic.REAPABLE, service_id] = None
    if task.node_id:
        state.node_tasks.setdefault(task.node_id, NodeTasks()).all[task_id] = None
    _enter(state, of, task)
    if of.demands:
        node_index.hold(state, of, task)
    if task_id in state.given:
        address_index.enter(state, task)


def remove(state: ClusterState, task: Task) -> None:
    """Take a task that is being forgotten out of the indexes."""
    service_id, origin = task.service_id, task.origin
    of = state.service_tasks[service_id]
    _leave(state, of, task)
    if of.demands:
        node_index.release(state, of, task)
    task_id = origin.id
    if task_id in state.given:
        address_index.leave(state, task)
    del of.all[task_id]
    if _unseat(of.seats, task.seat, task_id) <= state.history_limit:
        of.crowded.pop(task.seat, None)
    if task.node_id:
        del state.node_tasks[task.node_id].all[task_id]
    _unblock(state, of, task_id)
    _drop_template(state, of, task.service_id, origin.spec_version)
    if not of.all:
        del state.service_tasks[service_id]
        state.given_up.pop(service_id, None)
    state.touched.keys[Topic.STOPPED, service_id] = None


def tasks_of(state: ClusterState, service_id: ServiceId) -> ServiceTasks:
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
            runs(state, state.service_tasks[new.service_id], new)
        return
    of = state.service_tasks[new.service_id]
    _leave(state, of, old)
    if new.node_id != old.node_id:
        state.node_tasks.setdefault(new.node_id, NodeTasks()).all[new.origin.id] = None
    _enter(state, of, new)
    if of.demands:
        node_index.change_holding(state, of, old, new)
    if new.origin.id in state.given:
        address_index.change(state, old, new)
    if now > RUNNING:
        _unblock(state, of, new.origin.id)


def runs(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Note that a task, nothing else of which changed, runs."""
    of.running += 1
    state.touched.keys[Topic.RUNNING, task.origin.service_id] = None
    if of.doubled:
        judge_seat(state, task.origin.service_id, task.seat)
        _touch_stranded(state, of, task.seat)


def add_pending(state: ClusterState, of: ServiceTasks, tasks: list[Task]) -> None:
    """Put new tasks of one template, all PENDING and wanted RUNNING, into the indexes; as `add`, but all at once."""
    origin = tasks[0].origin
    ids = dict.fromkeys([task.origin.id for task in tasks])
    of.all |= ids
    of.wanted += len(tasks)
    of.wanted_by_spec.setdefault(origin.spec_version, {}).update(ids)
    of.pending |= ids
    if origin.spec_version not in of.spec_refs:
        node_index.note_demand(state, of, origin.service_id, origin.spec_version)
    of.spec_refs[origin.spec_version] = of.spec_refs.get(origin.spec_version, 0) + len(tasks)
    service = state.services.get(origin.service_id)
    stale = service is not None and service.spec_version != origin.spec_version
    limit, seats, wanted = state.history_limit, of.seats, of.wanted_by_seat
    for task in tasks:
        slot, only = task.origin.slot, (task.origin.id,)
        if slot not in seats:
            seats[slot] = wanted[slot] = only
            if stale:
                judge_seat(state, origin.service_id, slot)
            continue
        seats[slot] += only
        _want(state, of, task)
        if len(seats[slot]) > limit:
            of.crowded[slot] = None
            state.touched.keys[Topic.REAPABLE, origin.service_id] = None
    state.pending[origin.service_id] = None
    state.touched.keys[Topic.PENDING, ""] = None
    state.touched.keys[Topic.WANTED, origin.service_id] = None


def adopt(state: ClusterState, old: Task, new: Task) -> None:
    """Replace a task by one that differs in its template alone."""
    of = state.service_tasks[new.origin.service_id]
    _leave(state, of, old)
    state.tasks[new.origin.id] = new
    node_index.count_template(state, of, new.origin.service_id, new.origin.spec_version)
    if of.demands:
        node_index.change_holding(state, of, old, new)
    _drop_template(state, of, old.origin.service_id, old.origin.spec_version)
    _enter(state, of, new)


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
    state.service_tasks, state.node_tasks, state.pending = {}, {}, {}
    state.shifts = Shifts()
    service_index.reindex(state)
    for task in state.tasks.values():
        add(state, task)
    address_index.rejudge(state)
    for service_id, seats in state.given_up.items():
        for seat in seats:
            judge_seat(state, service_id, seat)


def judge_given_up(state: ClusterState, old: Task, new: Task) -> None:
    """Note that a seat gave up: its last task ended by itself, is wanted no more, and nothing replaces it."""
    service_id, seat = new.origin.service_id, new.seat
    if new.desired is TaskState.REMOVE:
        revive(state, service_id, seat)
    elif old.wanted and old.status.state > RUNNING and new.desired is TaskState.SHUTDOWN:
        of = state.service_tasks[service_id]
        of_a_node_that_left = new.origin.slot == NO_SLOT and new.node_id not in state.nodes
        if seat not in of.wanted_by_seat and service_id in state.services and not of_a_node_that_left:
            state.given_up.setdefault(service_id, {})[seat] = new.origin.id
            judge_seat(state, service_id, seat)


def revive(state: ClusterState, service_id: ServiceId, seat: Seat) -> None:
    """Note that a seat is used again, or gone."""
    seats = state.given_up.get(service_id)
    if seats is not None and seats.pop(seat, None) is not None:
        if not seats:
            del state.given_up[service_id]
        judge_seat(state, service_id, seat)


def judge_history(state: ClusterState) -> None:
    """Look at every seat again, after the history limit changed."""
    limit = state.history_limit
    for service_id, of in state.service_tasks.items():
        of.crowded = {seat: None for seat, tasks in of.seats.items() if len(tasks) > limit}
        if of.crowded:
            state.touched.keys[Topic.REAPABLE, service_id] = None


def judge_seats(state: ClusterState, service_id: ServiceId) -> None:
    """Look at every seat of a service again, after its template changed or it was removed."""
    of = state.service_tasks.get(service_id)
    if of is None:
        return
    of.stale, of.overlapping = {}, {}
    service = state.services.get(service_id)
    placement = service.spec.template.placement if service is not None else None
    if placement is not None and placement.constraints:
        # a node that changed since a task of that template came to it may not be fit for it
        for task_id in (i for ids in of.wanted_by_seat.values() for i in ids):
            if node_id := state.tasks[task_id].node_id:
                state.touched.keys[Topic.DEMANDS, node_id] = None
    for seat in {**of.wanted_by_seat, **state.given_up.get(service_id, {})}:
        judge_seat(state, service_id, seat)


def judge_seat(state: ClusterState, service_id: ServiceId, seat: Seat) -> None:
    """Note whether a seat's tasks bear an old template, or all but one of them may stop.

    The others stop when that one runs, or at once if none runs.
    """
    of = state.service_tasks.get(service_id)
    service = state.services.get(service_id)
    if of is None or service is None:
        return
    of.stale.pop(seat, None)
    of.overlapping.pop(seat, None)
    wanted = [state.tasks[i] for i in of.wanted_by_seat.get(seat, ())]
    if not wanted:
        last = state.tasks.get(state.given_up.get(service_id, {}).get(seat, NO_TASK))
        if last is not None and last.origin.spec_version != service.spec_version:
            of.stale[seat] = last.origin.id
        return
    stays = successor(wanted, service.spec_version) if len(wanted) > 1 else wanted[0]
    if stays.origin.spec_version != service.spec_version:
        of.stale[seat] = stays.origin.id
    if len(wanted) > 1 and (stays.state is RUNNING or all(task.state is not RUNNING for task in wanted)):
        of.overlapping[seat] = None
        state.touched.keys[Topic.OVERLAP, service_id] = None


def _enter(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    origin, status = task.origin, task.status.state
    if status is RUNNING:
        of.running += 1
        state.touched.keys[Topic.RUNNING, origin.service_id] = None
    if task.desired <= COMPLETE:
        state.touched.keys[Topic.WANTED, origin.service_id] = None
        if status is COMPLETE and task.desired is COMPLETE:
            of.completed.setdefault(origin.spec_version, {})[task.seat] = origin.id
            state.touched.keys[Topic.STOPPED, origin.service_id] = None
            return
        of.wanted += 1
        of.wanted_by_spec.setdefault(origin.spec_version, {})[origin.id] = None
        _want(state, of, task)
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
        if service_id in state.services:
            state.unallocated[service_id] = None
        state.touched.keys[Topic.NEW, service_id] = None
    elif status is TaskState.PENDING:
        of.pending[task_id] = None
        state.pending[service_id] = None
        state.touched.keys[Topic.PENDING, ""] = None
    if task.desired is TaskState.READY:
        _wait(state, of, task)
    if task.node_id:
        node_index.count(state, of, task.node_id, 1)


def _leave(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    origin, status = task.origin, task.status.state
    task_id = origin.id
    if status is RUNNING:
        of.running -= 1
    of.reapable.pop(task_id, None)
    if task.desired > COMPLETE:
        return
    state.touched.keys[Topic.WANTED, origin.service_id] = None
    if status is COMPLETE and task.desired is COMPLETE:
        _forget_completed(of, task)
        return
    of.wanted -= 1
    _discard(of.wanted_by_spec, origin.spec_version, task_id)
    _unwant(state, of, task)
    if status > RUNNING:
        of.ended.pop(task_id, None)
        return
    if of.unallocated:
        of.unallocated.pop(task_id, None)
        if not of.unallocated:
            address_index.judge_service(state, origin.service_id)
    of.pending.pop(task_id, None)
    if not of.pending:
        state.pending.pop(origin.service_id, None)
    if task.desired is TaskState.READY:
        _stop_waiting(of, origin.replaces, task_id)
    if task.node_id:
        node_index.count(state, of, task.node_id, -1)


def _want(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Let a task be one of those wanted in its seat."""
    seat = task.seat
    before = of.wanted_by_seat.get(seat, ())
    of.wanted_by_seat[seat] = (*before, task.origin.id)
    if len(before) == 1:
        of.doubled += 1
    judge_seat(state, task.origin.service_id, seat)


def _unwant(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Take a task out of those wanted in its seat."""
    seat = task.seat
    left = _unseat(of.wanted_by_seat, seat, task.origin.id)
    if left:
        of.doubled -= left == 1
        _touch_stranded(state, of, seat)
    judge_seat(state, task.origin.service_id, seat)


def _touch_stranded(state: ClusterState, of: ServiceTasks, seat: Seat) -> None:
    for task in (state.tasks[i] for i in of.wanted_by_seat.get(seat, ())):
        if not may_stay(state, task):
            state.touched.keys[Topic.STRANDED, task.node_id] = None


def _forget_completed(of: ServiceTasks, task: Task) -> None:
    seats = of.completed[task.origin.spec_version]
    if seats.get(task.seat) == task.origin.id:
        del seats[task.seat]
    if not seats:
        del of.completed[task.origin.spec_version]


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
    return node is not None and node.status.state is not NodeState.DOWN


def _unblock(state: ClusterState, of: ServiceTasks, task_id: TaskId) -> None:
    """Let go what waits for `task_id`, which ended or is being forgotten."""
    waiting = of.waiters.get(task_id)
    if waiting is not None:
        _stop_waiting(of, task_id, waiting)
        _wait(state, of, state.tasks[waiting])


def _drop_template(state: ClusterState, of: ServiceTasks, service_id: ServiceId, spec_version: Position) -> None:
    of.spec_refs[spec_version] -= 1
    if of.spec_refs[spec_version]:
        return
    del of.spec_refs[spec_version]
    of.demands.pop(spec_version, None)
    node_index.forget_failures(state, service_id, spec_version)
    service = state.services.get(service_id)
    if service is not None and service.spec_version == spec_version:
        return
    templates = state.templates[service_id]
    del templates[spec_version]
    if not templates:
        del state.templates[service_id]


def _discard(index: dict[K, dict[TaskId, None]], key: K, task_id: TaskId) -> None:
    members = index[key]
    del members[task_id]
    if not members:
        del index[key]


def _unseat(seats: dict[Seat, tuple[TaskId, ...]], seat: Seat, task_id: TaskId) -> int:
    """Take a task out of a seat, and return how many are left."""
    left = tuple(i for i in seats[seat] if i != task_id)
    if left:
        seats[seat] = left
    else:
        del seats[seat]
    return len(left)
