"""Whatever happens in the midst of an update, it has one end, and the log tells it in one outcome.

Random stories of one service: updates, rollbacks to any spec, scaling, failures, drained and lost nodes, labels,
engines that start again, and at last the removal of the service, or peace.
"""

from random import Random

import pytest
from msgspec.structs import replace
from skep.core.commands import RebalanceService, RemoveService, RollbackService, StartEngine, UpdateNode
from skep.core.events import ServiceRemoved, ServiceRolledBack, ServiceUpdated, ServiceUpdateReported
from skep.core.rejected import Rejected
from skep.model.build import service_spec
from skep.model.ids import NANOSECONDS, NodeId, Position, ServiceId
from skep.model.service import Outcome, Placement, RestartPolicy, ServiceSpec, UpdateConfig
from skep.model.states import GOING, Availability, Mode, NodeState, TaskState, UpdateState
from skep.testing.core_swarm import CoreSwarm

SECOND = NANOSECONDS

#: So many stories of each mode; ten find what leaves out an outcome on removal.
STORIES = 40


class Story:
    """A service on three nodes, and what happens to it."""

    def __init__(self, seed: int, mode: Mode) -> None:
        self.random = Random(seed)  # noqa: S311 - it must repeat itself
        self.mode = mode
        self.swarm = CoreSwarm(nodes=3)
        self.swarm.broken["bad"] = "task: non-zero exit (1)"
        first = self.spec()
        self.web = self.swarm.create(first)
        self.specs = {self.swarm.service(self.web).written: first}

    def rollout(self) -> UpdateConfig:
        choice = self.random.choice
        return UpdateConfig(
            parallelism=choice([0, 1, 2]),
            delay=choice([0, 0, 3 * SECOND]),
            monitor=choice([0, 2 * SECOND]),
            order=choice(["", "start-first"]),
            failure_action=choice(["", "pause", "continue", "rollback"]),
            max_failure_ratio=choice([0.0, 0.3, 1.0]),
        )

    def spec(self) -> ServiceSpec:
        choice = self.random.choice
        restart = choice(
            [
                None,
                RestartPolicy(condition="none"),
                RestartPolicy(delay=0, max_attempts=2),
                RestartPolicy(delay=SECOND, max_attempts=1, window=10 * SECOND),
            ]
        )
        image, replicas = choice(["v1", "v2", "v3", "bad"]), self.random.randint(0, 5)
        made = service_spec("web", image, mode=self.mode, replicas=replicas, restart=restart, update=self.rollout())
        constraints = choice([(), (), ("node.hostname!=node-1",), ("node.labels.z==a",)])
        placement = Placement(constraints=constraints, max_replicas=choice([0, 0, 3]))
        template = replace(made.template, placement=placement)
        return replace(made, task_template=template, rollback_config=self.rollout())

    def tell(self) -> None:
        steps = [self.update, self.back, self.back_to, self.node, self.label, self.report, self.stick, self.start]
        for _ in range(40):
            step = self.random.choice([*steps, self.update, self.report, self.rebalance, self.go_on, self.go_on])
            try:
                step()
            except Rejected:
                continue

    def update(self) -> None:
        spec = self.spec()
        self.swarm.update(self.web, spec)
        self.specs[self.swarm.state.position] = spec

    def back(self) -> None:
        self.swarm.submit(RollbackService(self.web, self.swarm.service(self.web).version))

    def back_to(self) -> None:
        to = self.random.choice(list(self.specs))
        version = self.swarm.service(self.web).version
        self.swarm.submit(RollbackService(self.web, version, to=Position(to), spec=self.specs[to]))

    def node(self) -> None:
        node_id = f"node-{self.random.randint(1, 3)}"
        if self.random.random() < 0.5:
            self.swarm.avail(node_id, self.random.choice(list(Availability)))
        else:
            self.swarm.observe(node_id, self.random.choice(list(NodeState)))

    def label(self) -> None:
        self.set_label(f"node-{self.random.randint(1, 3)}", self.random.choice("ab"))

    def set_label(self, node_id: str, value: str) -> None:
        node = self.swarm.state.nodes[NodeId(node_id)]
        self.swarm.submit(UpdateNode(node.id, node.version, replace(node.spec, labels={"z": value})))

    def report(self) -> None:
        tasks = [task for task in self.swarm.tasks(self.web) if not task.state.terminal and task.node_id]
        if tasks:
            states = [TaskState.FAILED, TaskState.COMPLETE, TaskState.RUNNING, TaskState.REJECTED]
            self.swarm.report(self.random.choice(tasks), self.random.choice(states))

    def stick(self) -> None:
        for task in self.swarm.tasks(self.web)[-1:]:
            self.swarm.stuck[task.id] = None

    def start(self) -> None:
        self.swarm.submit(StartEngine("again"))

    def rebalance(self) -> None:
        self.swarm.submit(RebalanceService(self.web, 2))

    def go_on(self) -> None:
        how = self.random.randrange(4)
        if how == 0:
            self.swarm.settle()
        elif how == 1:
            self.swarm.work()
        else:
            self.swarm.advance(self.random.choice([0.5, 2, 7, 30]))

    def end(self, *, removed: bool) -> None:
        if removed:
            self.swarm.submit(RemoveService(self.web))
        self.swarm.stuck.clear()
        self.swarm.broken.clear()
        for number in (1, 2, 3):
            self.swarm.observe(f"node-{number}", NodeState.READY)
            self.swarm.avail(f"node-{number}", Availability.ACTIVE)
            self.set_label(f"node-{number}", "a")
        self.swarm.advance(200)
        self.swarm.check()


def outcomes_in(swarm: CoreSwarm) -> list[Outcome]:
    """Return all outcomes in the log; every update that began has one, and none is without an update."""
    found: list[Outcome] = []
    goes = False
    for event in swarm.events(ServiceUpdateReported, ServiceUpdated, ServiceRolledBack, ServiceRemoved):
        assert isinstance(event, ServiceUpdateReported | ServiceUpdated | ServiceRolledBack | ServiceRemoved)
        begins = isinstance(event, ServiceRolledBack) or (
            isinstance(event, ServiceUpdateReported) and event.status.state in GOING
        )
        begun_by_itself = begins and not isinstance(event, ServiceRolledBack)
        assert (event.outcome is not None) is (goes and not begun_by_itself), event
        assert not (goes and begun_by_itself), event
        if event.outcome is not None:
            found.append(event.outcome)
        goes = begins
    assert not goes, "an update has no end"
    return found


def judge(swarm: CoreSwarm, web: ServiceId) -> None:
    """Each seat has one task, or gave up; of the present template, but where an update was paused or suffered it."""
    service = swarm.service(web)
    tasks, given_up = swarm.tasks(web, wanted=True), swarm.state.given_up.get(web, {})
    assert len({task.seat for task in tasks}) == len(tasks)
    if service.spec.replicas is not None:
        assert len(tasks) + len(given_up) == service.spec.replicas
    ended = swarm.state.outcomes.get(web, ())
    status = service.update_status
    if not ended or status is None or status.state in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED):
        return
    failed = len(ended[-1].failed)
    stale = [task for task in tasks if task.origin.spec_version != service.spec_version]
    assert len(stale) <= failed, f"{stale} were left, though {failed} failed"


@pytest.mark.parametrize("removed", [False, True], ids=["in peace", "removed"])
@pytest.mark.parametrize("mode", [Mode.REPLICATED, Mode.GLOBAL])
def test_every_update_ends_in_exactly_one_outcome(mode: Mode, *, removed: bool) -> None:
    states: dict[str, None] = {}
    for seed in range(STORIES):
        story = Story(seed, mode)
        story.tell()
        story.end(removed=removed)
        try:
            states |= dict.fromkeys(outcome.state for outcome in outcomes_in(story.swarm))
            if removed:
                assert story.web not in story.swarm.state.service_tasks
            else:
                judge(story.swarm, story.web)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
    assert {*states} >= {"completed", "paused", "superseded", "rolled-back"}
