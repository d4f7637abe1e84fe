"""A state that came of commands, plans and reports is whole; one that was damaged is named, with its story."""

from collections.abc import Callable
from itertools import count
from random import Random

import pytest
from msgspec.structs import replace
from skep.core.commands import (
    Command,
    CreateService,
    JoinNodes,
    ObserveNodes,
    RemoveNode,
    RemoveService,
    ReportTasks,
    RollbackService,
    UpdateNode,
    UpdateService,
)
from skep.core.invariants import check, story
from skep.core.plan import every_key, keys_of
from skep.core.record import Actor, Submitted
from skep.core.rejected import Broken, Rejected
from skep.core.state import ClusterState
from skep.core.task_index import reindex
from skep.core.transaction import run_plan, submit
from skep.model.container import ContainerSpec
from skep.model.ids import NANOSECONDS, Instant, NodeId, Position, ServiceId, TaskId
from skep.model.node import NodeDescription, NodeSpec
from skep.model.service import (
    EndpointSpec,
    Placement,
    PortConfig,
    ReplicatedMode,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    TaskSpec,
    UpdateConfig,
)
from skep.model.states import Availability, NodeState, Role, TaskState
from skep.model.task import TaskStatus

NODES = tuple(NodeId(f"n{number}") for number in range(4))
WEB = ServiceId("s1")
WORKER = NodeSpec(role=Role.WORKER, availability=Availability.ACTIVE)
#: A stale wish or report is part of the game.
OUTSIDE = Actor("person")


class Numbers:
    """Ids in a row."""

    def __init__(self) -> None:
        self._next = count(1)

    def new(self) -> str:
        return f"t{next(self._next):04}"


class Swarm:
    """A swarm that is played with, and looked at after every record."""

    def __init__(self, seed: int, orders: tuple[str, ...] = ("stop-first", "start-first")) -> None:
        self.orders = orders
        self.random = Random(seed)  # noqa: S311 - a game that can be played again, no secret
        self.state = ClusterState()
        self.ids = Numbers()
        self.now = NANOSECONDS
        self.services = 0
        self.do(
            JoinNodes(NODES, (WORKER,) * 4, tuple(NodeDescription(hostname=n) for n in NODES), ("",) * 4, (None,) * 4)
        )
        self.do(ObserveNodes(NODES, NodeState.READY))

    def do(self, command: Command) -> None:
        try:
            submit(self.state, Submitted((command,)), Instant(self.now), OUTSIDE, self.state.position)
        except Rejected:
            return
        check(self.state)

    def settle(self) -> None:
        """Make every plan that is woken, until all are content."""
        for _ in range(200):
            keys = list(dict.fromkeys(pair for key in self.state.take_touched().keys for pair in keys_of(*key)))
            if not keys:
                return
            for name, key in keys:
                more = True
                while more:
                    plan, record = run_plan(self.state, name, key, Instant(self.now), self.ids)
                    more = plan.more
                    if record is not None:
                        check(self.state)
        pytest.fail("the plans never come to rest")

    def pass_time(self) -> None:
        self.now += self.random.choice([0, 1, 5, 20]) * NANOSECONDS
        for name, key in every_key(self.state):
            run_plan(self.state, name, key, Instant(self.now), self.ids)
        check(self.state)

    def play(self) -> None:
        moves: list[Callable[[], None]] = [self.serve, self.change, self.change, self.end, self.operate, self.pass_time]
        self.random.choice(moves + [self.report] * 8)()
        self.settle()

    def spec(self, name: str) -> ServiceSpec:
        draw = self.random.choice
        config = UpdateConfig(
            parallelism=draw([0, 1, 2]),
            failure_action=draw(["pause", "continue", "rollback"]),
            order=draw(self.orders),
            monitor=NANOSECONDS,
        )
        return ServiceSpec(
            name=name,
            mode=ServiceMode(replicated=ReplicatedMode(draw([0, 1, 2, 5]))),
            task_template=TaskSpec(
                container_spec=ContainerSpec(image=draw(["a", "b"])),
                restart_policy=RestartPolicy(
                    condition=draw(["any", "none", "on-failure"]), delay=NANOSECONDS, max_attempts=draw([0, 1])
                ),
                placement=Placement(constraints=draw([(), ("node.id!=n1",)]), max_replicas=draw([0, 0, 2])),
            ),
            update_config=config,
            rollback_config=config,
            endpoint_spec=EndpointSpec(
                ports=draw([(), (PortConfig(target_port=80),), (PortConfig(target_port=80, published_port=8080),)])
            ),
        )

    def serve(self) -> None:
        self.services += 1
        self.do(CreateService(ServiceId(f"s{self.services}"), self.spec(f"web{self.services}")))

    def change(self) -> None:
        if self.state.services:
            service = self.random.choice(list(self.state.services.values()))
            spec = self.random.choice([self.spec(service.spec.name), service.spec])
            if self.random.random() < 0.2:
                self.do(RollbackService(service.id, service.version))
            else:
                self.do(UpdateService(service.id, service.version, spec))

    def end(self) -> None:
        if self.state.services and self.random.random() < 0.3:
            self.do(RemoveService(self.random.choice(list(self.state.services))))

    def operate(self) -> None:
        node = self.random.choice(list(self.state.nodes.values()))
        roll = self.random.random()
        if roll < 0.5:
            state = self.random.choice([NodeState.READY, NodeState.DOWN])
            self.do(ObserveNodes((node.id,), state))
        elif roll < 0.9:
            availability = self.random.choice(list(Availability))
            self.do(UpdateNode(node.id, node.version, replace(WORKER, availability=availability)))
        elif len(self.state.nodes) > 2:
            self.do(RemoveNode(node.id, force=True))

    def report(self) -> None:
        """Let a node's agent do what it is told, or fail at it."""
        node_id = self.random.choice(list(self.state.nodes))
        rows = {task.id: self.next_status(task.state, task.desired) for task in self.state.tasks_on(node_id)}
        chosen = [task_id for task_id in rows if self.random.random() < 0.7]
        statuses = tuple(TaskStatus(rows[i], Instant(self.now), rows[i].word) for i in chosen)
        self.do(ReportTasks(node_id, tuple(chosen), statuses))

    def next_status(self, state: TaskState, desired: TaskState) -> TaskState:
        if desired > TaskState.RUNNING:
            return self.random.choice([state, TaskState.SHUTDOWN, TaskState.COMPLETE])
        ends = [TaskState.FAILED] * (self.random.random() < 0.15)
        onwards = TaskState.READY if desired is TaskState.READY else TaskState.RUNNING
        return self.random.choice([state, onwards, onwards, *ends])


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_played_the_state_is_whole(seed: int) -> None:
    swarm = Swarm(seed)
    for _ in range(100):
        swarm.play()


def test_an_update_that_turns_back_during_start_first_leaves_one_task_in_each_slot() -> None:
    swarm = Swarm(0)
    config = UpdateConfig(parallelism=1, order="start-first", monitor=NANOSECONDS)

    def running(image: str) -> ServiceSpec:
        return ServiceSpec(
            name="web",
            task_template=TaskSpec(container_spec=ContainerSpec(image=image)),
            update_config=config,
        )

    def tell_that_all_run() -> None:
        for node_id in NODES:
            tasks = tuple(task.id for task in swarm.state.tasks_on(node_id))
            swarm.do(ReportTasks(node_id, tasks, (TaskStatus(TaskState.RUNNING, Instant(swarm.now)),) * len(tasks)))
        swarm.settle()

    swarm.do(CreateService(WEB, running("a")))
    swarm.settle()
    tell_that_all_run()
    for image in ("b", "a"):  # the second before the first is through
        swarm.do(UpdateService(WEB, swarm.state.services[WEB].version, running(image)))
        swarm.settle()
    tell_that_all_run()
    swarm.now += 60 * NANOSECONDS
    swarm.pass_time()
    assert swarm.state.service_tasks[WEB].wanted == 1


def a_running_swarm() -> ClusterState:
    swarm = Swarm(0)
    port = EndpointSpec(ports=(PortConfig(target_port=80, published_port=80),))
    swarm.do(
        CreateService(
            WEB,
            replace(
                swarm.spec("web"), mode=ServiceMode(replicated=ReplicatedMode(2)), endpoint_spec=port,
                task_template=TaskSpec(container_spec=ContainerSpec(image="a")),
            ),
        )
    )  # fmt: skip
    swarm.settle()
    for node_id in NODES:
        tasks = tuple(task.id for task in swarm.state.tasks_on(node_id))
        swarm.do(ReportTasks(node_id, tasks, (TaskStatus(TaskState.RUNNING, Instant(1)),) * len(tasks)))
    swarm.settle()
    return swarm.state


def broken(state: ClusterState) -> str:
    with pytest.raises(Broken) as caught:
        check(state)
    return str(caught.value)


def first(state: ClusterState) -> TaskId:
    return next(iter(state.tasks))


def put(state: ClusterState, **changes: object) -> None:
    state.tasks[first(state)] = replace(state.tasks[first(state)], **changes)


def lose_template(state: ClusterState) -> None:
    state.templates[WEB].clear()


def keep_template(state: ClusterState) -> None:
    state.templates[WEB][Position(1)] = next(iter(state.templates[WEB].values()))


def count_wrong(state: ClusterState) -> None:
    state.service_tasks[WEB].running += 1


def forget_on_node(state: ClusterState) -> None:
    node = state.node_tasks[state.tasks[first(state)].node_id]
    node.active -= 1


def steal_port(state: ClusterState) -> None:
    state.ports["tcp", 80] = ServiceId("other")


def forget_name(state: ClusterState) -> None:
    del state.service_names["web"]


def double_slot(state: ClusterState) -> None:
    task = state.tasks[first(state)]
    other = replace(task, origin=replace(task.origin, id=TaskId("twin")))
    state.tasks[other.id] = other
    reindex(state)


DAMAGES: list[tuple[Callable[[ClusterState], None], str]] = [
    (lambda s: put(s, desired=TaskState.PENDING), "is wanted pending, which nothing may be wanted"),
    (
        lambda s: put(s, status=TaskStatus(TaskState.REMOVE, Instant(1))),
        "is in state remove, which is only ever wanted",
    ),
    (lambda s: put(s, node_id=NodeId("")), "is running without a node"),
    (lambda s: put(s, node_id=NodeId("nowhere")), "is running on node nowhere, which is unknown"),
    (lambda s: put(s, version=Position(10**6)), "and is of version 1000000"),
    (lambda s: put(s, updated_at=Instant(2**62)), "is newer than the state"),
    (lose_template, "names template"),
    (keep_template, "template 1 of service s1 is kept for nobody"),
    (count_wrong, "index service_tasks['s1'] is {'running': 3}, and its tables say {'running': 2}"),
    (forget_on_node, "index node_tasks"),
    (steal_port, "service s1 publishes tcp 80, which other holds"),
    (forget_name, "1 services have 0 names"),
    (double_slot, "of service s1 has two tasks"),
]


@pytest.mark.parametrize(("damage", "named"), DAMAGES, ids=[named for _, named in DAMAGES])
def test_a_damage_is_named(damage: Callable[[ClusterState], None], named: str) -> None:
    state = a_running_swarm()
    check(state)
    damage(state)
    assert named in broken(state)


def test_a_damage_comes_with_the_story_of_its_object() -> None:
    state = a_running_swarm()
    put(state, node_id=NodeId("nowhere"))
    lines = broken(state).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["task", "service", "templates", "node"]
    assert '"image":"a"' in lines[2].lower()


def test_a_story_of_a_service_tells_its_tasks_and_one_of_nobody_is_empty() -> None:
    state = a_running_swarm()
    assert [line.split(":")[0].strip() for line in story(state, "s1").splitlines()] == ["service", "task", "task"]
    assert story(state, "nobody") == ""


def test_looking_changes_nothing() -> None:
    state = a_running_swarm()
    state.take_touched()
    check(state)
    assert state.take_touched().keys == {}
