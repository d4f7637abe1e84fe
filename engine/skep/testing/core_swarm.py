"""A whole swarm without a loop: decisions and plans as the writer makes them, and agents that do as they are told.

For tests of the rules. Time moves only when it is told to; what the plans ask to be woken at, wakes them.

    swarm = CoreSwarm(nodes=3)
    web = swarm.create(service_spec("web", "demo", replicas=3))
    swarm.quiet()
    assert swarm.running(web) == 3
    swarm.check()
"""

from msgspec.structs import replace

from skep.core.codec import decode_record, decode_state, encode_record, encode_state
from skep.core.commands import Command, CreateService, ObserveNodes, ReportTasks, UpdateNode, UpdateService
from skep.core.events import Event
from skep.core.fold import fold
from skep.core.invariants import check
from skep.core.plan import PLANS, every_key
from skep.core.record import Actor, Record, Submitted
from skep.core.state import ClusterState
from skep.core.transaction import run_plan, submit
from skep.history.rerun import rerun
from skep.model.ids import NANOSECONDS, Instant, NodeId, Position, ServiceId, TaskId
from skep.model.service import ReplicatedMode, Service, ServiceMode, ServiceSpec
from skep.model.states import Availability, NodeState, TaskState
from skep.model.swarm import DEFAULT_SWARM_SPEC, SwarmSpec
from skep.model.task import Task, TaskStatus
from skep.runtime.reconciler import Key, Wakes
from skep.testing.beginning import begin_swarm, join_nodes
from skep.testing.sources import BEGINNING, NumberedIds

#: More plans than any test needs one after another: beyond it they contradict each other.
PLANS_MAX = 1_000

#: More than any task has steps, restarts without delay among them.
ROUNDS_MAX = 200

PERSON = Actor("person", "test")


class CoreSwarm:
    """The state, the records that led to it, and the agents' side of the story.

    `stuck` tasks do nothing, `broken` images fail with these words when they are started, and `silent` nodes say
    nothing. A job's task runs, and is complete when its agent works the next time, unless its image is `lasting`.
    """

    def __init__(
        self,
        *,
        nodes: int = 2,
        spec: SwarmSpec = DEFAULT_SWARM_SPEC,
        state: ClusterState | None = None,
        ingress: bool = False,
    ) -> None:
        self.now = BEGINNING
        self.ids = NumberedIds("" if state is None else f"after-{state.position}-")
        self.records: list[Record] = []
        self.wakes = Wakes()
        self.stuck: dict[TaskId, None] = {}
        self.broken: dict[str, str] = {}
        self.silent: dict[NodeId, None] = {}
        self.lasting: dict[str, None] = {}
        self._bodies: list[bytes] = []
        self._start = encode_state(state) if state is not None else encode_state(ClusterState())
        self.state = decode_state(self._start)
        if state is not None:
            self.now = max(self.now, state.time)
            for key in every_key(self.state):
                self.wakes.wake(*key)
            return
        self.submit(begin_swarm(spec, ingress=ingress))
        names = tuple(NodeId(f"node-{number}") for number in range(1, nodes + 1))
        if names:
            self.submit(join_nodes(*names))
            self.submit(ObserveNodes(names, NodeState.READY))

    # --- what people and agents say

    def submit(
        self, *commands: Command, command_id: str = "", actor: Actor = PERSON, seen: Position | None = None
    ) -> Record | None:
        """Decide commands as one; return their record, or None if nothing comes of them. Raises `Rejected`."""
        before = self.state.position
        record = submit(self.state, Submitted(commands, command_id), self.now, actor, before if seen is None else seen)
        if record is not None:
            self._add(record)
        return record

    def create(self, spec: ServiceSpec) -> ServiceId:
        """Create a service."""
        service_id = ServiceId(self.ids.new())
        self.submit(CreateService(service_id, spec))
        return service_id

    def update(self, service_id: ServiceId, spec: ServiceSpec) -> None:
        """Give a service a new spec."""
        self.submit(UpdateService(service_id, self.service(service_id).version, spec))

    def scale(self, service_id: ServiceId, replicas: int) -> None:
        """Give a service another number of replicas."""
        mode = ServiceMode(replicated=ReplicatedMode(replicas))
        self.update(service_id, replace(self.service(service_id).spec, mode=mode))

    def avail(self, node_id: str, availability: Availability) -> None:
        """Change a node's availability."""
        node = self.state.nodes[NodeId(node_id)]
        self.submit(UpdateNode(node.id, node.version, replace(node.spec, availability=availability)))

    def observe(self, node_id: str, state: NodeState, message: str = "") -> None:
        """Say that a node is heard, or is not. A node that is not heard says nothing of its tasks either."""
        if state is NodeState.READY:
            self.silent.pop(NodeId(node_id), None)
        else:
            self.silent[NodeId(node_id)] = None
        self.submit(ObserveNodes((NodeId(node_id),), state, message), actor=Actor("clock", "liveness"))

    def report(self, task: Task, state: TaskState, *, message: str = "", err: str = "") -> Record | None:
        """Say what became of a task."""
        status = TaskStatus(state, self.now, message or state.word, err)
        return self.submit(ReportTasks(task.node_id, (task.id,), (status,)), actor=Actor("agent", task.node_id))

    # --- what follows from it

    def settle(self) -> None:
        """Make plans until none has anything to do now."""
        self.wakes.ring(self.now)
        for _ in range(PLANS_MAX):
            key = self.wakes.pop()
            if key is None:
                return
            self._plan(key)
        raise AssertionError(f"the plans are never content: {[r.input for r in self.records[-6:]]}")

    def work(self) -> bool:
        """Let every agent take each of its tasks as far as is wanted; return whether anything changed."""
        changed = False
        for node_id in list(self.state.node_tasks):
            if node_id in self.silent:
                continue
            rows = [(task.id, status) for task in self.state.tasks_on(node_id) if (status := self._next(task))]
            if rows:
                command = ReportTasks(node_id, tuple(i for i, _ in rows), tuple(s for _, s in rows))
                changed = self.submit(command, actor=Actor("agent", node_id)) is not None or changed
        return changed

    def quiet(self) -> None:
        """Let plans and agents go on until nothing happens any more without time."""
        for _ in range(ROUNDS_MAX):
            self.settle()
            if not self.work():
                return
        raise AssertionError(f"no end without time: {[r.input for r in self.records[-6:]]}")

    def advance(self, seconds: float) -> None:
        """Let time pass, and happen what happens in it."""
        end = Instant(self.now + round(seconds * NANOSECONDS))
        self.quiet()
        while (at := self.wakes.next_at()) is not None and at <= end:
            self.now = max(self.now, at)
            self.quiet()
        self.now = end

    # --- questions

    def service(self, service_id: ServiceId) -> Service:
        """Return a service."""
        return self.state.services[service_id]

    def tasks(self, service_id: ServiceId, *, wanted: bool | None = None) -> list[Task]:
        """Return the tasks of a service, oldest first."""
        return [t for t in self.state.tasks_of(service_id) if wanted is None or t.wanted is wanted]

    def running(self, service_id: ServiceId) -> int:
        """Return how many tasks of a service run."""
        return sum(task.state is TaskState.RUNNING for task in self.state.tasks_of(service_id))

    def slots(self, service_id: ServiceId) -> list[int]:
        """Return the slots with a wanted task, in order."""
        return sorted(task.slot for task in self.tasks(service_id, wanted=True))

    def events(self, *kinds: type[Event], after: int = 0) -> list[Event]:
        """Return all events of these kinds, or all, after a position."""
        return [e for r in self.records if r.position > after for e in r.events if not kinds or isinstance(e, kinds)]

    # --- what always holds

    def check(self) -> None:
        """Check all that always holds; see the functions below."""
        check(self.state)
        self.check_content()
        self.check_records()

    def check_content(self) -> None:
        """Check that every plan of a key that is not due is content until the instant at which it will be woken."""
        due = dict.fromkeys(self.wakes.due())
        for key in every_key(self.state):
            if key in due:
                continue
            wake_at = self.wakes.wakes_at(*key)
            plan = PLANS[key[0]](self.state, key[1], self.now, NumberedIds("probe"))
            assert not plan.commands, f"{key} is not due, but wants {plan.commands}"  # noqa: S101 - what a kit is for
            late = plan.wake_at and not 0 < wake_at <= plan.wake_at
            assert not late, f"{key} is woken at {wake_at}, not {plan.wake_at}"  # noqa: S101 - likewise

    def check_records(self) -> None:
        """Check that what was written gives the same state, record by record, and that each input gives its record."""
        state, folded = decode_state(self._start), decode_state(self._start)
        for body in self._bodies:
            record = decode_record(body)
            assert encode_record(record) == body  # noqa: S101 - what a kit is for
            difference = rerun(state, record)
            assert not difference, f"position {record.position} {difference}"  # noqa: S101 - likewise
            fold(folded, record.position, record.time, record.command_id, record.events)
        live = encode_state(self.state)
        assert encode_state(state) == live, "run again, the records give another state"  # noqa: S101 - likewise
        assert encode_state(folded) == live, "folded, the records give another state"  # noqa: S101 - likewise

    # --- inside

    def _plan(self, key: Key) -> None:
        plan, record = run_plan(self.state, *key, self.now, self.ids)
        self.wakes.wake_at(*key, plan.wake_at)
        if record is None:
            return
        self._add(record)
        if plan.more:
            self.wakes.wake(*key)

    def _add(self, record: Record) -> None:
        assert record.cause < record.position and record.seen < record.position, record  # noqa: S101, PT018 - likewise
        self.records.append(record)
        self._bodies.append(encode_record(record))
        self.wakes.touch(self.state.take_touched())

    def _next(self, task: Task) -> TaskStatus | None:
        state, desired = task.state, task.desired
        # an agent does not hear of a task before the scheduler confirmed it there
        if state.terminal or state < TaskState.ASSIGNED or task.id in self.stuck:
            return None
        container = self.state.template_of(task).spec.container_spec
        image = container.image if container else ""
        err = self.broken.get(image)
        if desired > TaskState.COMPLETE:
            return TaskStatus(TaskState.SHUTDOWN, self.now, "shutdown")
        if desired is TaskState.COMPLETE and (state < TaskState.RUNNING or image in self.lasting):
            desired = TaskState.RUNNING
        if state >= desired:
            return None
        if err is not None and desired is TaskState.RUNNING:
            return TaskStatus(TaskState.FAILED, self.now, "started", err)
        return TaskStatus(desired, self.now, desired.word)
