"""How tasks enter, change in, and leave the indexes. No other code changes an index of tasks."""

from typing import TypeVar

from skep.core import address_index, node_index, service_index
from skep.core.indexes import NodeTasks, ServiceTasks, Shifts, Topic
from skep.core.nothing import NOTHING
from skep.core.seat_index import judge_seat, unwant, want
from skep.core.state import ClusterState
from skep.core.wait_index import stop_waiting, unblock, wait
from skep.model.ids import Position, ServiceId, TaskId
from skep.model.states import TaskState
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
    if of.wanted_by_seat.seat(seat, task_id) > state.history_limit:
        of.index("crowded")[seat] = None
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
    if of.wanted_by_seat.unseat(task.seat, task_id) <= state.history_limit:
        of.crowded.pop(task.seat, None)
    if task.node_id:
        del state.node_tasks[task.node_id].all[task_id]
    unblock(state, of, task_id)
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
        unblock(state, of, new.origin.id)


def runs(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Note that a task, nothing else of which changed, runs."""
    of.running += 1
    state.touched.keys[Topic.RUNNING, task.origin.service_id] = None
    if of.doubled:
        judge_seat(state, task.origin.service_id, task.seat)


def await_node(state: ClusterState, task: Task) -> None:
    """Replace a task that was NEW by its next version, which is PENDING and otherwise the same; as `swap`."""
    task_id, service_id = task.origin.id, task.origin.service_id
    state.tasks[task_id] = task
    of = state.service_tasks[service_id]
    if task_id not in of.unallocated:
        return  # it is not wanted any more
    del of.unallocated[task_id]
    if not of.unallocated:
        address_index.judge_service(state, service_id)
    of.index("pending")[task_id] = None
    state.pending[service_id] = None
    state.touched.keys[Topic.PENDING, ""] = None


def add_pending(state: ClusterState, of: ServiceTasks, tasks: list[Task]) -> None:
    """Put new tasks of one template, all PENDING and wanted RUNNING, into the indexes; as `add`, but all at once."""
    origin = tasks[0].origin
    ids = dict.fromkeys([task.origin.id for task in tasks])
    of.all |= ids
    of.wanted += len(tasks)
    of.wanted_by_spec.setdefault(origin.spec_version, {}).update(ids)
    of.index("pending").update(ids)
    if origin.spec_version not in of.spec_refs:
        node_index.note_needs(state, of, origin.service_id, origin.spec_version)
    of.spec_refs[origin.spec_version] = of.spec_refs.get(origin.spec_version, 0) + len(tasks)
    service = state.services.get(origin.service_id)
    stale = service is not None and service.spec_version != origin.spec_version
    limit, seats, wanted = state.history_limit, of.seats, of.wanted_by_seat
    for task in tasks:
        slot = task.origin.slot
        if slot not in seats:
            # it is wanted, as all are of a seat of which nothing else is known
            seats[slot] = (task.origin.id,)
            if stale:
                judge_seat(state, origin.service_id, slot)
            continue
        known = wanted.seat(slot, task.origin.id)
        want(state, of, task)
        if known > limit:
            of.index("crowded")[slot] = None
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


def reindex(state: ClusterState) -> None:
    """Build every index anew from the tables. What it touches is left to be taken."""
    state.service_tasks, state.node_tasks, state.pending = {}, {}, {}
    state.shifts = Shifts()
    state.closed = {node.id: None for node in state.nodes.values() if not node.schedulable}
    service_index.reindex(state)
    for task in state.tasks.values():
        add(state, task)
    address_index.rejudge(state)
    for service_id, seats in state.given_up.items():
        for seat in seats:
            judge_seat(state, service_id, seat)


def _enter(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    origin, status = task.origin, task.status.state
    if status is RUNNING:
        of.running += 1
        state.touched.keys[Topic.RUNNING, origin.service_id] = None
    if task.desired <= COMPLETE:
        state.touched.keys[Topic.WANTED, origin.service_id] = None
        if status is COMPLETE and task.desired is COMPLETE:
            of.index("completed").setdefault(origin.spec_version, {})[task.seat] = origin.id
            state.touched.keys[Topic.STOPPED, origin.service_id] = None
            return
        of.wanted += 1
        of.wanted_by_spec.setdefault(origin.spec_version, {})[origin.id] = None
        want(state, of, task)
        if status > RUNNING:
            of.index("ended")[origin.id] = None
            state.touched.keys[Topic.ENDED, origin.service_id] = None
        else:
            _enter_alive(state, of, task)
        return
    of.removing += task.desired is TaskState.REMOVE
    if status > RUNNING:
        state.touched.keys[Topic.STOPPED, origin.service_id] = None
    # of one that waited for its node to be confirmed no agent ever heard: it will never be said to have stopped
    unheard = not task.node_id or status < TaskState.ASSIGNED
    if unheard or (status > RUNNING and task.desired is TaskState.REMOVE):
        of.index("reapable")[origin.id] = None
        state.touched.keys[Topic.REAPABLE, origin.service_id] = None


def _enter_alive(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Enter a task that is wanted and has not ended."""
    task_id, service_id, status = task.origin.id, task.origin.service_id, task.status.state
    if status is TaskState.NEW:
        of.index("unallocated")[task_id] = None
        if service_id in state.services:
            state.unallocated[service_id] = None
        state.touched.keys[Topic.NEW, service_id] = None
    elif status is TaskState.PENDING:
        of.index("pending")[task_id] = None
        state.pending[service_id] = None
        state.touched.keys[Topic.PENDING, ""] = None
    if task.desired is TaskState.READY:
        wait(state, of, task)
    if task.node_id:
        node_index.count(state, of, task.node_id, 1)


def _leave(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    origin, status = task.origin, task.status.state
    task_id = origin.id
    if status is RUNNING:
        of.running -= 1
    of.reapable.pop(task_id, None)
    if task.desired > COMPLETE:
        of.removing -= task.desired is TaskState.REMOVE
        return
    state.touched.keys[Topic.WANTED, origin.service_id] = None
    if status is COMPLETE and task.desired is COMPLETE:
        _forget_completed(of, task)
        return
    of.wanted -= 1
    _discard(of.wanted_by_spec, origin.spec_version, task_id)
    unwant(state, of, task)
    if status > RUNNING:
        of.ended.pop(task_id, None)
        return
    if of.unallocated:
        of.unallocated.pop(task_id, None)
        if not of.unallocated:
            address_index.judge_service(state, origin.service_id)
    if of.pending:
        _leave_pending(state, of, task)
    if task.desired is TaskState.READY:
        stop_waiting(of, origin.replaces, task_id)
    if task.node_id:
        node_index.count(state, of, task.node_id, -1)


def _forget_completed(of: ServiceTasks, task: Task) -> None:
    seats = of.completed[task.origin.spec_version]
    if seats.get(task.seat) == task.origin.id:
        del seats[task.seat]
    if not seats:
        del of.completed[task.origin.spec_version]


def _leave_pending(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    of.pending.pop(task.origin.id, None)
    if not of.pending:
        no_longer_pending(state, of, task.origin.service_id)


def no_longer_pending(state: ClusterState, of: ServiceTasks, service_id: ServiceId) -> None:
    """Note that no task of a service waits for the scheduler any more."""
    del state.pending[service_id]
    # a dict keeps the room that it once needed: thirty bytes for each task that ever waited at once
    of.pending = NOTHING


def _drop_template(state: ClusterState, of: ServiceTasks, service_id: ServiceId, spec_version: Position) -> None:
    of.spec_refs[spec_version] -= 1
    if of.spec_refs[spec_version]:
        return
    del of.spec_refs[spec_version]
    of.needs.pop(spec_version, None)
    of.demands.pop(spec_version, None)
    node_index.forget_failures(state, service_id, spec_version)
    service = state.services.get(service_id)
    if service is not None and service.spec_version == spec_version:
        return
    templates = state.templates[service_id]
    del templates[spec_version]
    if not templates:
        del state.templates[service_id]
        state.departed.pop(service_id, None)


def _discard(index: dict[K, dict[TaskId, None]], key: K, task_id: TaskId) -> None:
    members = index[key]
    del members[task_id]
    if not members:
        del index[key]
