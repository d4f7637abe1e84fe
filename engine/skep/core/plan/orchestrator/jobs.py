"""Replicated jobs: so many slots run to completion, from 0 on, and only so many at once.

- A slot is taken by a task of the present run that is wanted, that completed, or after which the slot gave up. A task
  that fails is restarted in its slot (plan "restarts") and keeps it meanwhile.
- A run is an update of the service, of whatever kind; each has a template of its own. Its tasks are all made anew, and
  those that still live of the run before are removed (FACTS, chapter 6).

Slots are taken in order, so the next one is found by counting, and work is proportional to what is made.
"""

from itertools import islice

from skep.core.commands import Command, DesireTasks
from skep.core.events import ROWS_MAX
from skep.core.indexes import ServiceTasks
from skep.core.plan.orchestrator.creation import create
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import Instant, Seat, ServiceId
from skep.model.service import ReplicatedJobMode, Service
from skep.model.states import Mode, TaskState

EMPTY = ServiceTasks()


def plan_jobs(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs no time
    """Return what brings the present run of a replicated job nearer to its end."""
    service = state.services.get(ServiceId(key))
    if service is None or service.spec.kind is not Mode.REPLICATED_JOB:
        return CONTENT
    index = state.service_tasks.get(service.id, EMPTY)
    commands: list[Command] = []
    if len(index.wanted_by_spec) > (service.spec_version in index.wanted_by_spec):
        older = (i for run, tasks in index.wanted_by_spec.items() if run != service.spec_version for i in tasks)
        commands.append(DesireTasks(tuple(islice(older, ROWS_MAX)), TaskState.REMOVE))
    slots, more = _next_slots(state, service, index)
    cause = service.written
    if slots:
        commands.append(create(service, slots, ids))
    elif not commands:
        return CONTENT
    more = more or index.wanted - len(index.wanted_by_spec.get(service.spec_version, ())) > ROWS_MAX
    return Plan(tuple(commands), cause=cause, more=more)


def _next_slots(state: ClusterState, service: Service, index: ServiceTasks) -> tuple[list[Seat], bool]:
    """Return the slots to begin now, at most ROWS_MAX, and whether that leaves some."""
    mode = service.spec.mode
    job = (mode.replicated_job if mode else None) or ReplicatedJobMode()
    total = 1 if job.total_completions is None else job.total_completions
    at_once = 1 if job.max_concurrent is None else job.max_concurrent
    live = len(index.wanted_by_spec.get(service.spec_version, ()))
    done = index.completed.get(service.spec_version, {})
    given_up = state.given_up.get(service.id, {})
    taken = live + len(done) + len(given_up)
    missing = min(at_once - live, total - taken)
    if missing <= 0:
        return [], False
    rows = min(missing, ROWS_MAX)
    following: list[Seat] = list(range(taken, taken + rows))
    if any(_is_taken(state, service, index, slot) for slot in following):
        # only where a slot below was left: they are looked for from the first on
        free = (slot for slot in range(total) if not _is_taken(state, service, index, slot))
        following = list(islice(free, rows))
    return following, missing > rows


def _is_taken(state: ClusterState, service: Service, index: ServiceTasks, slot: Seat) -> bool:
    return (
        slot in index.completed.get(service.spec_version, ())
        or slot in state.given_up.get(service.id, ())
        or any(state.tasks[i].origin.spec_version == service.spec_version for i in index.wanted_by_seat.get(slot, ()))
    )
