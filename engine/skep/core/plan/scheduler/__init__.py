"""The scheduler: gives each pending task a node, or says why it has none.

Filters say which nodes fit (`filters`). Among those the best is chosen (`spread`): spread evenly over the labels that
the service prefers, then over nodes. Tasks with the same needs form a class, and a class keeps the nodes that fit it in
order of load (`pool`), from one plan to the next (`ground`); what is remembered never changes an answer.

Tasks that were born with a node come first, and are confirmed there or held. Reasons to hold tasks are found last, when
all else has its place: they are to be true of the state that the plan leaves.
"""

from collections.abc import Collection, Iterable, Sequence
from heapq import heappop, heapreplace
from itertools import islice
from operator import attrgetter

from skep.core.commands import AssignTasks, Command, HoldTasks
from skep.core.events import ROWS_MAX
from skep.core.indexes import ServiceTasks
from skep.core.needs import NO_NEEDS, Needs
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.plan.scheduler.filters import Verdict, explain
from skep.core.plan.scheduler.ground import POOLS_MAX, RANKINGS_MAX, ground_of
from skep.core.plan.scheduler.pool import NO_PATH, RANK, RANK_BITS, Pool
from skep.core.plan.scheduler.spread import Search
from skep.core.plan.scheduler.view import View
from skep.core.state import ClusterState
from skep.model.ids import START, Instant, NodeId, Position, ServiceId, TaskId
from skep.model.service import GenericResource
from skep.model.states import TaskState
from skep.model.task import Task

#: The fewest rows of a plan, whatever else it had to do.
ROWS_MIN = 1000

#: One entry more: the load of a node goes up by one.
ONE = 1 << RANK_BITS


def plan_placement(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs neither
    """Return where pending tasks go, at most ROWS_MAX of them, and why the others wait."""
    if not state.pending:
        return CONTENT
    ground = ground_of(state)
    this = _Round(state, now, View(state, ground))
    this.confirm_all()
    this.place_all()
    commands: list[Command] = []
    shifts = state.shifts
    if this.assigned:
        task_ids, node_ids = tuple(this.assigned), tuple(this.assigned.values())
        given = this.given
        resources = tuple(given.get(task_id, ()) for task_id in task_ids) if given else ()
        commands.append(AssignTasks(task_ids, node_ids, resources))
        this.cause = max(map(attrgetter("version"), map(state.tasks.__getitem__, task_ids)))
        shifts.promised = (task_ids, node_ids)
    this.hold_all()
    if this.held:
        commands.append(HoldTasks(tuple(this.held), tuple(this.held.values())))
    shifts.memo = ground
    return Plan(tuple(commands), cause=this.cause, more=this.more) if commands else CONTENT


class _Round:
    """One plan: what it has handed out so far, on top of the state."""

    def __init__(self, state: ClusterState, now: Instant, view: View) -> None:
        self.state = state
        self.now = now
        self.view = view
        self.assigned: dict[TaskId, NodeId] = {}
        self.given: dict[TaskId, tuple[GenericResource, ...]] = {}
        self.held: dict[TaskId, str] = {}
        self.cause = START
        self.more = False
        #: how many rows the plan may have: fewer where the ground, if it has to be built anew, takes its time; whether
        #: it had to be is no matter, or a log would not verify that an engine wrote which had forgotten
        self.rows = max(ROWS_MIN, ROWS_MAX - len(state.nodes) // 40)
        #: tasks that have no place, with the pool that has none for them
        self._left: list[tuple[Pool, Iterable[TaskId]]] = []
        self._left_there: list[tuple[Pool, Task]] = []

    @property
    def room(self) -> int:
        """How many rows the plan may still have."""
        return self.rows - len(self.assigned) - len(self.held)

    # --- tasks that were born with their node

    def confirm_all(self) -> None:
        """Confirm the tasks of services that are per node where they are."""
        for service_id in self.state.node_services:
            if service_id in self.state.pending:
                self._confirm(self.state.service_tasks[service_id])

    def _confirm(self, of: ServiceTasks) -> None:
        for task_id in of.pending:
            if self.room <= 0:
                self.more = True
                return
            task = self.state.tasks[task_id]
            rank = self.view.ground.rank.get(task.node_id)
            if rank is None:
                continue
            pool = self._pool(of.needs.get(task.origin.spec_version, NO_NEEDS))
            if self._refused(pool, task, rank):
                self._left_there.append((pool, task))
                continue
            self._assign(task, rank)
            if pool.needs.demand is not None:
                self._give(task_id, self.view.take(rank, pool.needs.demand))

    def _refused(self, pool: Pool, task: Task, rank: int) -> int:
        """Return which filter refuses a task on its node; 0 if none."""
        if pool.verdicts[rank]:
            return pool.verdicts[rank]
        if not pool.has_room(self.view, rank):
            return pool.verdicts[rank]
        most = pool.needs.max_replicas
        if most and self._settled(task) >= most:
            return Verdict.REPLICAS
        return Verdict.FITS

    def _settled(self, task: Task) -> int:
        """Return how many tasks of a service have been confirmed on the node of one that has not."""
        seat = self.state.service_tasks[task.service_id].wanted_by_seat[task.seat]
        others = (self.state.tasks[i] for i in seat if i != task.id)
        return sum(t.id in self.assigned or TaskState.PENDING < t.state <= TaskState.RUNNING for t in others)

    # --- tasks that may go anywhere

    def place_all(self) -> None:
        """Find nodes for the tasks of all other services, one after the other."""
        state, view = self.state, self.view
        services, failures, rows = state.service_tasks, state.failures, self.rows
        assigned, ids, active, log = self.assigned, view.ids, view.active, view.log
        pool = self._pool(NO_NEEDS)
        for service_id in state.pending:
            if len(assigned) >= rows:
                self.more = True
                break
            of = services[service_id]
            pending, needs = of.pending, of.needs
            if len(pending) > 1 or of.on_node or service_id in failures or (needs and len(of.spec_refs) > 1):
                self._place(service_id, of)
                continue
            # the only task of its service, which has no node either: the first of its class, whatever else
            (task_id,) = pending
            wanted = next(iter(needs.values())) if needs else NO_NEEDS
            if (wanted is not pool.needs and wanted != pool.needs) or pool.read != len(log):
                pool = self._pool(wanted)
            if wanted.demand is not None or wanted.spread:
                self._place(service_id, of)
                continue
            heap, verdicts = pool.heaps[NO_PATH], pool.verdicts
            while heap:
                entry = heap[0]
                rank = entry & RANK
                load = active[rank]
                if verdicts[rank]:
                    heappop(heap)
                elif entry >> RANK_BITS != load:
                    heapreplace(heap, load << RANK_BITS | rank)
                else:
                    heapreplace(heap, entry + ONE)
                    active[rank] = load + 1
                    assigned[task_id] = ids[rank]
                    break
            else:
                self._left.append((pool, pending))

    def _place(self, service_id: ServiceId, of: ServiceTasks) -> None:
        """Place the pending tasks of one service, by template."""
        if self.state.tasks[next(iter(of.pending))].node_id:
            if service_id not in self.state.node_services:
                self._confirm(of)
            return
        extra: dict[int, int] = {}
        if len(of.spec_refs) == 1:
            (spec_version,) = of.spec_refs
            self._place_template(service_id, of, spec_version, of.pending, extra)
            return
        by_spec: dict[Position, list[TaskId]] = {}
        for task_id in of.pending:
            by_spec.setdefault(self.state.tasks[task_id].origin.spec_version, []).append(task_id)
        for spec_version, task_ids in by_spec.items():
            self._place_template(service_id, of, spec_version, task_ids, extra)

    def _place_template(
        self,
        service_id: ServiceId,
        of: ServiceTasks,
        spec_version: Position,
        task_ids: Collection[TaskId],
        extra: dict[int, int],
    ) -> None:
        """Place tasks of one template; `extra` counts by rank what was placed of the service before."""
        pool = self._pool(of.needs.get(spec_version, NO_NEEDS))
        if not pool.counts[Verdict.FITS]:
            self._left.append((pool, task_ids))
            return
        rankings = self.view.ground.rankings
        known = rankings.get((service_id, spec_version))
        search = Search(self.view, pool, of.on_node, extra, self._faulty(service_id, spec_version), known)
        count, waiting = min(self.room, len(task_ids)), iter(task_ids)
        ranks = search.take(count)
        placed = list(islice(waiting, len(ranks)))
        self.assigned.update(zip(placed, map(self.view.ids.__getitem__, ranks), strict=True))
        for task_id, resources in zip(placed, search.given, strict=False):
            self._give(task_id, resources)
        if len(ranks) < count:
            self._left.append((pool, list(waiting)))
        elif count < len(task_ids):
            self.more = True
        search.end()
        if search.ranking is not known and search.ranking.heaps:
            if len(rankings) >= RANKINGS_MAX:
                del rankings[next(iter(rankings))]
            rankings[service_id, spec_version] = search.ranking

    def _faulty(self, service_id: ServiceId, spec_version: Position) -> dict[int, int]:
        failures = self.state.failures.get(service_id)
        if failures is None:
            return {}
        rank_of = self.view.ground.rank
        faulty = failures.faulty(spec_version, self.now)
        return {rank_of[node_id]: count for node_id, count in faulty.items() if node_id in rank_of}

    # --- what both do

    def _pool(self, needs: Needs) -> Pool:
        """Return the pool of the nodes that fit tasks of a class, as they are now."""
        pools = self.view.ground.pools
        pool = pools.get(needs)
        if pool is None:
            if len(pools) >= POOLS_MAX:
                del pools[next(iter(pools))]
            pool = pools[needs] = Pool(needs, self.view)
        else:
            pool.follow(self.view)
        return pool

    def _assign(self, task: Task, rank: int) -> None:
        self.assigned[task.origin.id] = self.view.ids[rank]

    def _give(self, task_id: TaskId, resources: tuple[GenericResource, ...]) -> None:
        if resources:
            self.given[task_id] = resources

    # --- tasks that wait

    def hold_all(self) -> None:
        """Note why tasks wait where it is news."""
        for pool, task in self._left_there:
            pool.follow(self.view)
            refused = [0] * len(Verdict)
            refused[self._refused(pool, task, self.view.ground.rank[task.node_id])] = 1
            self._hold((task.id,), explain(refused))
        reasons: dict[int, str] = {}
        for pool, task_ids in self._left:
            reason = reasons.get(id(pool))
            if reason is None:
                pool.follow(self.view)
                reason = reasons[id(pool)] = self._reason(pool.counts)
            self._hold(task_ids, reason)

    def _hold(self, task_ids: Iterable[TaskId], reason: str) -> None:
        for task_id in task_ids:
            task = self.state.tasks[task_id]
            if task.status.err != reason:
                if self.room <= 0:
                    self.more = True
                    return
                self.held[task_id] = reason
                self.cause = max(self.cause, task.origin.created)

    def _reason(self, counts: Sequence[int]) -> str:
        """Say why no node is left: those that fit have as many tasks of the service as may be."""
        refused = list(counts)
        refused[Verdict.REPLICAS] = counts[Verdict.FITS]
        return explain(refused)
