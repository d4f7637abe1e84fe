"""Whatever people, agents and time do, in whatever order: what always holds holds after every record.

A story is a list of steps; what a step means depends on what there is then. After each story the swarm is left alone,
and must come to rest: every plan content, every service with what it wants, and nothing left of what was removed.
"""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest
import skep
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from skep.core.codec import decode_record, decode_state, encode_record, encode_state
from skep.core.commands import (
    CreateSecret,
    RebalanceService,
    RemoveNode,
    RemoveSecret,
    RemoveService,
    RollbackService,
    StartEngine,
    UpdateNode,
    UpdateSwarm,
)
from skep.core.fold import fold
from skep.core.invariants import check
from skep.core.plan import every_key
from skep.core.plan.orchestrator import nodes
from skep.core.record import Record
from skep.core.rejected import Broken, Rejected
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS, Instant, SecretId, TaskId
from skep.model.secret import SecretSpec
from skep.model.service import (
    Placement,
    PortConfig,
    ReplicatedJobMode,
    RestartPolicy,
    Service,
    ServiceMode,
    ServiceSpec,
    UpdateConfig,
)
from skep.model.states import Availability, Mode, NodeState, TaskState
from skep.model.swarm import OrchestrationConfig
from skep.runtime.reconciler import Wakes
from skep.testing.beginning import join_nodes, sealed
from skep.testing.core_swarm import CoreSwarm

from tests.core.stories_at_rest import assert_at_rest, job_numbers

Step = tuple[str, int, int]


@pytest.fixture(autouse=True)
def a_day_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a node be down for long in less time than a story takes."""
    monkeypatch.setattr(nodes, "DOWN_MAX", 12 * NANOSECONDS)


class Story(CoreSwarm):
    """A swarm that checks itself after every record, and in which steps are said in numbers."""

    def __init__(self) -> None:
        super().__init__(nodes=3)
        self.named = 0
        self.reached: dict[TaskId, tuple[TaskState, TaskState]] = {}

    def _add(self, record: Record) -> None:
        super()._add(record)
        check(self.state)
        for service in self.state.services.values():
            check_job(self, service)
        for task in self.state.tasks.values():
            before = self.reached.get(task.id, (TaskState.NEW, TaskState.READY))
            now = (task.state, task.desired)
            assert now[0] >= before[0], f"{task} went back from {before}"
            assert now[1] >= before[1], f"{task} went back from {before}"
            self.reached[task.id] = now

    def tell(self, steps: list[Step]) -> None:
        for name, a, b in steps:
            try:
                getattr(self, f"_{name}")(a, b)
            except Rejected:
                continue

    def end(self) -> None:
        """Faults stop: every node comes back, nothing is stuck, and long enough passes."""
        self.stuck.clear()
        for node in list(self.state.nodes.values()):
            if node.status.state is not NodeState.READY:
                self.observe(node.id, NodeState.READY)
            if node.spec.availability is not Availability.ACTIVE:
                self.avail(node.id, Availability.ACTIVE)
        for service in list(self.state.services.values()):
            constrained = service.spec.template.placement
            if constrained is not None and constrained.constraints:
                with suppress(Rejected):  # its port may be another's by now
                    self.update(service.id, _with(service, placement=None))
        self.advance(90)

    # --- steps

    def _one(self, table: Any, number: int) -> Any:
        if not table:
            raise Rejected.invalid("there is none")
        return list(table.values())[number % len(table)]

    def _create(self, a: int, b: int) -> None:
        self.named += 1
        secret = list(self.state.secrets.values())[:1] if b & 1 else []
        ports = [PortConfig(target_port=80, published_port=(8000 + a % 3) * (b & 2 and 1))] if b & 6 else []
        # without delay only a few times: else one instant never ends
        delay = (0 if a % 4 else NANOSECONDS, None, NANOSECONDS)[b % 3]
        policy = RestartPolicy(condition=("any", "on-failure", "none")[a % 3], delay=delay, max_attempts=a % 4)
        spec = skep.service_spec(
            f"s{self.named}", f"v{a % 2}", replicas=a % 6, secrets=secret, ports=ports, restart=policy
        )
        update = UpdateConfig(
            parallelism=b % 3,
            delay=(b % 2) * NANOSECONDS,
            failure_action=("pause", "continue", "rollback")[b % 3],
            order=("stop-first", "start-first")[a % 2],
        )
        self.create(replace(spec, update_config=update, rollback_config=update if a % 3 else None))

    def _create_mode(self, a: int, b: int) -> None:
        """Begin a service of another mode; without delay a failing job has attempts, else one instant never ends."""
        self.named += 1
        policy = RestartPolicy(
            condition=("any", "on-failure", "none" if b % 3 else "any")[a % 3],
            delay=(None, NANOSECONDS)[a % 2],
            max_attempts=b % 3,
            window=(None, 3 * NANOSECONDS)[a % 2],
        )
        mode = (Mode.GLOBAL, Mode.REPLICATED_JOB, Mode.GLOBAL_JOB)[(a + b) % 3]
        spec = skep.service_spec(
            f"s{self.named}", f"v{a % 2}", mode=mode, replicas=a % 6, max_concurrent=b % 4, restart=policy
        )
        update = UpdateConfig(parallelism=b % 3, order=("stop-first", "start-first")[a % 2])
        self.create(spec if mode.is_job else replace(spec, update_config=update))

    def _scale(self, a: int, b: int) -> None:
        service = self._one(self.state.services, a)
        if service.spec.kind is Mode.REPLICATED_JOB:
            self.update(service.id, replace(service.spec, mode=job_mode(b % 7, a % 4)))
        else:
            self.scale(service.id, b % 7)

    def _image(self, a: int, b: int) -> None:
        service = self._one(self.state.services, a)
        container = replace(service.spec.container, image=("v0", "v1", "bad")[b % 3])
        self.update(service.id, _with(service, container_spec=container))

    def _constrain(self, a: int, b: int) -> None:
        service = self._one(self.state.services, a)
        placement = (
            Placement(constraints=("node.labels.none == x",)),
            Placement(max_replicas=2),
            Placement(constraints=("node.hostname != node-1",)),
            Placement(constraints=("node.labels.zone == a",)),
            Placement(constraints=("node.labels.zone != a",)),
        )[b % 5]
        self.update(service.id, _with(service, placement=placement))

    def _label(self, a: int, b: int) -> None:
        service = self._one(self.state.services, a)
        self.update(service.id, replace(service.spec, labels={"a": str(b)}))

    def _publish(self, a: int, b: int) -> None:
        service = self._one(self.state.services, a)
        ports = tuple(PortConfig(target_port=80 + n, published_port=(0, 8000)[b & 1] * (n + 1)) for n in range(b % 3))
        endpoint = skep.service_spec("x", ports=ports).endpoint_spec
        self.update(service.id, replace(service.spec, endpoint_spec=endpoint))

    def _rollback(self, a: int, _: int) -> None:
        service = self._one(self.state.services, a)
        self.submit(RollbackService(service.id, service.version))

    def _rebalance(self, a: int, b: int) -> None:
        self.submit(RebalanceService(self._one(self.state.services, a).id, 1 + b % 4))

    def _remove(self, a: int, _: int) -> None:
        self.submit(RemoveService(self._one(self.state.services, a).id))

    def _available(self, a: int, b: int) -> None:
        self.avail(self._one(self.state.nodes, a).id, list(Availability)[b % 3])

    def _zone(self, a: int, b: int) -> None:
        node = self._one(self.state.nodes, a)
        self.submit(UpdateNode(node.id, node.version, replace(node.spec, labels={"zone": "ab"[b % 2]})))

    def _unheard(self, a: int, b: int) -> None:
        state = (NodeState.UNKNOWN, NodeState.DISCONNECTED)[b % 2]
        self.observe(self._one(self.state.nodes, a).id, state)

    def _down(self, a: int, _: int) -> None:
        self.observe(self._one(self.state.nodes, a).id, NodeState.DOWN, "heartbeat failure")

    def _back(self, a: int, _: int) -> None:
        self.observe(self._one(self.state.nodes, a).id, NodeState.READY)

    def _join(self, a: int, _: int) -> None:
        node_id = f"later-{a % 3}"
        self.submit(join_nodes(node_id))
        self.observe(node_id, NodeState.READY)

    def _strike(self, a: int, b: int) -> None:
        if len(self.state.nodes) > 2:
            self.submit(RemoveNode(self._one(self.state.nodes, a).id, force=bool(b & 1)))

    def _secret(self, a: int, _: int) -> None:
        self.submit(CreateSecret(SecretId(self.ids.new()), SecretSpec(name=f"secret{a % 3}"), sealed("secret"), 9))

    def _forget(self, a: int, _: int) -> None:
        self.submit(RemoveSecret(self._one(self.state.secrets, a).id))

    def _limit(self, a: int, _: int) -> None:
        cluster = self.state.cluster
        assert cluster is not None
        orchestration = OrchestrationConfig(task_history_retention_limit=a % 4)
        self.submit(UpdateSwarm(cluster.version, replace(cluster.spec, orchestration=orchestration)))

    def _report(self, a: int, b: int) -> None:
        task = self._one(self.state.tasks, a)
        if task.node_id and task.node_id not in self.silent:
            self.report(task, (TaskState.RUNNING, TaskState.FAILED, TaskState.COMPLETE, TaskState.REJECTED)[b % 4])

    def _stick(self, a: int, _: int) -> None:
        self.stuck[self._one(self.state.tasks, a).id] = None

    def _settle(self, _a: int, _b: int) -> None:
        self.settle()
        self.check_content()

    def _work(self, _a: int, _b: int) -> None:
        self.work()

    def _quiet(self, _a: int, _b: int) -> None:
        self.quiet()
        self.check_content()

    def _advance(self, a: int, b: int) -> None:
        self.advance((a % 8) + (b % 4) / 4)
        self.check_content()

    def _jump(self, a: int, _: int) -> None:
        """The clock jumps ahead by hours: whatever was to happen in them is late, and happens at once."""
        self.now = Instant(self.now + (1 + a) * 3600 * NANOSECONDS)

    def _jump_back(self, a: int, b: int) -> None:
        """The clock jumps back for a while; agents and people go on, and plans."""
        now = self.now
        self.now = Instant(now - (1 + a) * (NANOSECONDS, 3600 * NANOSECONDS)[b % 2])
        self.work()
        if b % 3:
            self.settle()
        self.now = now

    def _recover(self, _a: int, _b: int) -> None:
        """The engine starts again: state from a checkpoint, every key planned once."""
        self.state = decode_state(encode_state(self.state))
        self.state.take_touched()
        self.wakes = Wakes()
        for key in every_key(self.state):
            self.wakes.wake(*key)
        self.submit(StartEngine("again"))


def _with(service: Service, **changes: Any) -> ServiceSpec:
    return replace(service.spec, task_template=replace(service.spec.template, **changes))


STEPS = sorted(
    name[1:]
    for name, value in vars(Story).items()
    if isinstance(value, Callable) and name.startswith("_") and not name.startswith(("__", "_add", "_one"))
)

#: What makes a story go on is said more often.
OFTEN = ["create", "create_mode", "quiet", "quiet", "settle", "work", "advance", "advance", "image", "report", "report"]

steps = st.lists(
    st.tuples(st.sampled_from([*STEPS, *OFTEN, *OFTEN]), st.integers(0, 11), st.integers(0, 11)),
    min_size=8,
    max_size=50,
)


#: So many random stories; a hundred or two find what a careless change breaks.
SEEDS = 250


def drawn(seed: int) -> list[Step]:
    """Return the story of a seed; longer ones than hypothesis likes to draw, and so more tangled."""
    random = Random(seed)  # noqa: S311 - it must repeat itself
    names = [*STEPS, *STEPS, *OFTEN, *OFTEN]
    told = [(random.choice(names), random.randrange(12), random.randrange(12)) for _ in range(random.randrange(5, 50))]
    return [("create", random.randrange(12), random.randrange(12)), *told]


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_random_stories_come_to_rest(first: int) -> None:
    for seed in range(first, first + 50):
        try:
            tell_and_judge(drawn(seed))
        except (AssertionError, Broken) as error:
            raise AssertionError(f"seed {seed}: {drawn(seed)}") from error


def tell_and_judge(told: list[Step]) -> None:
    story = Story()
    story.broken["bad"] = "task: non-zero exit (1)"
    story.tell(told)
    story.end()
    story.check()
    assert_at_rest(story)


def job_mode(total: int, at_once: int) -> ServiceMode:
    return ServiceMode(replicated_job=ReplicatedJobMode(max_concurrent=at_once, total_completions=total))


def check_job(swarm: CoreSwarm, service: Service) -> None:
    """Check that the present run of a job has no slot twice, none too high, and not too many at once."""
    numbers = job_numbers(service)
    if numbers is None:
        return
    total, at_once = numbers
    run = [t for t in swarm.tasks(service.id, wanted=True) if t.origin.spec_version == service.spec_version]
    slots = [task.slot for task in run]
    assert len({*slots}) == len(slots), f"{service} has slots twice: {run}"
    assert all(0 <= slot < total for slot in slots), f"{service} has slots too high: {run}"
    live = [task for task in run if task.state is not TaskState.COMPLETE or task.desired is not TaskState.COMPLETE]
    assert len(live) <= at_once, f"{service} has too many at once: {run}"


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
@given(steps)
def test_whatever_happens_what_always_holds_holds(told: list[Step]) -> None:
    tell_and_judge(told)


@settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(steps, st.integers(0, 1000))
def test_folding_in_two_parts_gives_what_folding_in_one_gives(told: list[Step], cut: int) -> None:
    story = Story()
    story.tell(told)
    bodies = [encode_record(record) for record in story.records]
    cut %= len(bodies) + 1
    first = _folded(ClusterState(), bodies[:cut])
    through_a_checkpoint = _folded(decode_state(encode_state(first)), bodies[cut:])
    straight_on = _folded(first, bodies[cut:])
    whole = _folded(ClusterState(), bodies)
    assert encode_state(straight_on) == encode_state(through_a_checkpoint) == encode_state(whole)
    assert encode_state(whole) == encode_state(story.state)
    for state in (straight_on, through_a_checkpoint, whole):
        check(state)


def _folded(state: ClusterState, bodies: list[bytes]) -> ClusterState:
    for body in bodies:
        record = decode_record(body)
        fold(state, record.position, record.time, record.command_id, record.events)
    return state
