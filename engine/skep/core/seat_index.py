"""How seats are judged: which are stale, in which tasks overlap, which gave up, and which have too much history."""

from skep.core.indexes import ServiceTasks, Topic
from skep.core.nothing import NOTHING
from skep.core.policy import rollout_of
from skep.core.seats import may_stay, successor
from skep.core.state import ClusterState
from skep.model.ids import NO_SLOT, NO_TASK, Seat, ServiceId
from skep.model.service import Service
from skep.model.states import TaskState, UpdateState
from skep.model.task import Task

RUNNING = TaskState.RUNNING


def want(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Let a task be one of those wanted in its seat."""
    seat = task.seat
    if of.wanted_by_seat.want(seat, task.origin.id) == 1:
        of.doubled += 1
    judge_seat(state, task.origin.service_id, seat)


def unwant(state: ClusterState, of: ServiceTasks, task: Task) -> None:
    """Take a task out of those wanted in its seat."""
    seat = task.seat
    left = of.wanted_by_seat.unwant(seat, task.origin.id)
    if left == 1:
        of.doubled -= 1
        _touch_stranded(state, [state.tasks[i] for i in of.wanted_by_seat[seat]])
    judge_seat(state, task.origin.service_id, seat)


def _touch_stranded(state: ClusterState, tasks: list[Task]) -> None:
    """Tell of tasks of a seat that are where none may stay: whether they are waited for may have changed."""
    for task in tasks:
        if not may_stay(state, task):
            state.touched.keys[Topic.STRANDED, task.node_id] = None


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
    of.stale, of.overlapping = NOTHING, NOTHING
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

    The others stop when that one runs, or at once if none runs. Those of another template stop at once, too, where the
    spec says that they stop first: they were made to stay by a spec before it, and may hold the place that is needed.
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
            of.index("stale")[seat] = last.origin.id
        return
    stays = wanted[0]
    if len(wanted) > 1:
        stays = successor(wanted, service.spec_version)
        _touch_stranded(state, wanted)
    if stays.origin.spec_version != service.spec_version:
        of.index("stale")[seat] = stays.origin.id
    if len(wanted) > 1 and (
        stays.state is RUNNING
        or all(task.state is not RUNNING for task in wanted)
        or (_is_update(service, stays, wanted) and not _starts_first(service))
    ):
        of.index("overlapping")[seat] = None
        state.touched.keys[Topic.OVERLAP, service_id] = None


def _is_update(service: Service, stays: Task, wanted: list[Task]) -> bool:
    """Whether it is the service's present template that others give way to."""
    present = service.spec_version
    return stays.origin.spec_version == present and any(task.origin.spec_version != present for task in wanted)


def _starts_first(service: Service) -> bool:
    status = service.update_status
    rollback = status is not None and status.state is UpdateState.ROLLBACK_STARTED
    return rollout_of(service.spec, rollback=rollback).start_first
