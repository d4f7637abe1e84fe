"""What a session sends: after each message an agent has what its tasks need, and nothing else."""

from collections.abc import Mapping

import anyio
import skep
from msgspec.structs import replace
from skep.core.commands import (
    AttachContainer,
    CreateConfig,
    CreateNetwork,
    CreateSecret,
    DetachContainer,
    RemoveService,
    ReportTasks,
)
from skep.core.events import TasksAssigned, TasksReaped
from skep.model.ids import ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId
from skep.model.secret import ConfigSpec, Sealed, SecretSpec
from skep.model.service import Placement, Reservations, ResourceRequirements, RestartPolicy, ServiceMode
from skep.model.states import NodeState, TaskState
from skep.model.swarm import DEFAULT_SWARM_SPEC, OrchestrationConfig
from skep.model.task import Task, TaskStatus
from skep.ports.link import (
    Action,
    AssignedConfig,
    AssignedSecret,
    AssignedTask,
    LineOptions,
    LineSelector,
    SubscriptionMessage,
)
from skep.runtime.cluster import Cluster
from skep.runtime.session import Assignments, Session
from skep.runtime.simulated import Behaviour, SimulatedController, SimulatedExecutor
from skep.testing.beginning import join_nodes
from skep.testing.core_swarm import CoreSwarm
from skep.testing.virtual import VirtualClock

NODE = NodeId("node-1")


def with_a_secret_and_a_config() -> tuple[CoreSwarm, ServiceId, Session]:
    """Return a swarm whose one task uses a secret and a config, and a session that was told all of it."""
    swarm = CoreSwarm(nodes=1)
    swarm.submit(CreateSecret(SecretId("s1"), SecretSpec(name="pw"), Sealed("k", b"c" * 20, b"m"), 3))
    swarm.submit(CreateConfig(ConfigId("c1"), ConfigSpec(name="conf", data=b"x")))
    service = create(swarm, "a")
    session = Session("x", NODE)
    session.everything(swarm.state)
    return swarm, service, session


def create(swarm: CoreSwarm, name: str) -> ServiceId:
    state = swarm.state
    secrets, configs = list(state.secrets.values()), list(state.configs.values())
    service = swarm.create(skep.service_spec(name, "demo", secrets=secrets, configs=configs))
    swarm.settle()
    return service


def news(swarm: CoreSwarm, session: Session) -> Assignments:
    """Return one message about all that became durable since the last."""
    for record in swarm.records:
        for event in record.events:
            if isinstance(event, TasksReaped | TasksAssigned):
                session.dirty |= dict.fromkeys(event.task_ids)
    return session.news(swarm.state)


def removed(out: Assignments) -> list[str]:
    return [change.assignment.id for change in out.removed]


def test_what_a_task_gives_up_and_another_takes_over_in_one_message_is_not_removed() -> None:
    swarm, service, session = with_a_secret_and_a_config()
    swarm.submit(RemoveService(service))
    swarm.quiet()
    create(swarm, "b")
    out = news(swarm, session)
    assert [change.action for change in out.tasks] == [Action.REMOVE, Action.UPDATE]
    assert removed(out) == []


def test_what_no_task_uses_any_more_is_removed() -> None:
    swarm, service, session = with_a_secret_and_a_config()
    swarm.submit(RemoveService(service))
    swarm.quiet()
    assert removed(news(swarm, session)) == ["s1", "c1"]
    create(swarm, "b")
    again = news(swarm, session)
    assert [(secret.id, secret.data) for secret, _ in again.sealed] == [("s1", b"")]
    assert removed(again) == []


def sent(out: Assignments) -> list[str]:
    return [secret.id for secret, _ in out.sealed] + [change.assignment.id for change in out.dependencies]


def ended(swarm: CoreSwarm, service: ServiceId) -> Task:
    """Return the oldest task of a service, which failed."""
    task = swarm.tasks(service)[0]
    swarm.report(task, TaskState.FAILED)
    return task


def test_what_a_task_that_ended_used_is_withdrawn_though_the_task_is_kept() -> None:
    """As in SwarmKit: history needs no secrets."""
    swarm, service, session = with_a_secret_and_a_config()
    task = ended(swarm, service)
    session.note_over([task.id])
    assert session.assigned.is_set()
    out = session.news(swarm.state)
    assert (removed(out), out.tasks) == (["s1", "c1"], [])
    session.note_over([task.id])
    assert not session.assigned.is_set()


def test_what_another_task_still_uses_is_not_withdrawn() -> None:
    swarm, service, session = with_a_secret_and_a_config()
    create(swarm, "b")
    news(swarm, session)
    session.note_over([ended(swarm, service).id])
    assert removed(session.news(swarm.state)) == []
    swarm.submit(RemoveService(service))
    swarm.advance(10)
    assert removed(news(swarm, session)) == []


def test_what_is_only_said_to_have_ended_keeps_what_it_uses() -> None:
    """An agent may say of a task what nobody takes from it."""
    swarm, service, session = with_a_secret_and_a_config()
    task = swarm.tasks(service)[0]
    assert swarm.report(task, TaskState.ORPHANED) is None
    session.note_over([task.id])
    assert removed(session.news(swarm.state)) == []


def test_a_task_that_had_ended_before_brings_nothing_along() -> None:
    swarm, service, session = with_a_secret_and_a_config()
    task = ended(swarm, service)
    again = Session("y", NODE).everything(swarm.state)
    assert [change.assignment.id for change in again.tasks] == [task.id]
    assert sent(again) == []
    swarm.advance(10)
    assert swarm.running(service) == 1
    assert sent(Session("z", NODE).everything(swarm.state)) == ["s1", "c1"]
    # one that hears of the end late withdraws what was for that task alone
    session.dirty |= dict.fromkeys([task.id])
    assert removed(session.news(swarm.state)) == ["s1", "c1"]


def test_all_is_told_again_to_who_asks_for_all_again() -> None:
    swarm, _service, session = with_a_secret_and_a_config()
    again = session.everything(swarm.state)
    assert (sent(again), len(again.tasks)) == (["s1", "c1"], 1)


def test_a_task_that_is_not_assigned_yet_is_no_news_to_the_node_that_it_was_born_with() -> None:
    swarm = CoreSwarm(nodes=1)
    swarm.submit(CreateSecret(SecretId("s1"), SecretSpec(name="pw"), Sealed("k", b"c" * 20, b"m"), 3))
    spec = skep.service_spec("agent", "demo", secrets=[*swarm.state.secrets.values()])
    too_much = ResourceRequirements(reservations=Reservations(nano_cpus=10**12))
    task = replace(spec.template, resources=too_much)
    service = swarm.create(replace(spec, mode=ServiceMode(global_={}), task_template=task))
    swarm.settle()
    assert [task.node_id for task in swarm.tasks(service)] == [NODE]
    out = Session("x", NODE).everything(swarm.state)
    assert (sent(out), out.tasks) == ([], [])


def test_a_node_is_sent_only_what_its_own_tasks_use() -> None:
    swarm, _, session = with_a_secret_and_a_config()
    swarm.submit(join_nodes("node-2"))
    swarm.submit(CreateSecret(SecretId("s2"), SecretSpec(name="other"), Sealed("k2", b"c" * 20, b"m"), 3))
    swarm.observe("node-2", NodeState.READY)
    spec = skep.service_spec("web", "demo", secrets=[swarm.state.secrets[SecretId("s2")]])
    there = Placement(constraints=("node.id == node-2",))
    swarm.create(replace(spec, task_template=replace(spec.template, placement=there)))
    swarm.settle()
    assert sent(news(swarm, session)) == []
    assert sent(Session("y", NodeId("node-2")).everything(swarm.state)) == ["s2"]


class Asking(SimulatedExecutor):
    """Notes how many secrets and configs each task finds."""

    found: list[tuple[int, int]]

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> SimulatedController:
        self.found.append((len(secrets), len(configs)))
        return super().controller(task, secrets=secrets, configs=configs)


async def test_a_task_that_is_replaced_and_forgotten_at_once_leaves_its_secret_to_its_successor() -> None:
    clock = VirtualClock()
    executor = Asking(Behaviour(run_s=1, exit_code=1), clock=clock)
    executor.found = []
    spec = replace(DEFAULT_SWARM_SPEC, orchestration=OrchestrationConfig(task_history_retention_limit=1))
    async with Cluster.open(executor=lambda _name, _number: executor, clock=clock, init=False) as cluster:
        await cluster.swarm.init(spec)
        await cluster.secrets.create(SecretSpec(name="pw"), b"sesame")
        secrets = await cluster.secrets.list()
        restart = RestartPolicy(delay=0)
        await cluster.services.create(skep.service_spec("web", "demo", secrets=secrets, restart=restart))
        await anyio.sleep(30)
    assert len(executor.found) > 5
    assert {secrets for secrets, _ in executor.found} == {1}


# --- containers that people run


def attached(swarm: CoreSwarm) -> None:
    swarm.submit(CreateNetwork(NetworkId("inside"), replace(skep.network_spec("inside"), attachable=True)))
    swarm.settle()
    swarm.submit(AttachContainer(TaskId("a1"), NODE, "inside", "abc"))
    swarm.settle()


def told(out: Assignments) -> list[tuple[Action, str]]:
    return [(change.action, change.assignment.id) for change in out.tasks]


def test_an_attachment_is_a_task_of_its_node_until_it_ends() -> None:
    swarm = CoreSwarm(nodes=2)
    session, other = Session("x", NODE), Session("y", NodeId("node-2"))
    session.everything(swarm.state)
    attached(swarm)
    session.dirty[TaskId("a1")] = None
    out = session.news(swarm.state)
    assert told(out) == [(Action.UPDATE, "a1")]
    task = out.tasks[0].assignment
    assert isinstance(task, AssignedTask)
    assert (task.desired, task.status.state, task.service_id) == (TaskState.RUNNING, TaskState.ASSIGNED, "")
    assert task.template.spec.network_attachment_spec == {"ContainerID": "abc"}
    assert [(one.network.spec.name, one.addr) for one in task.networks] == [("inside", "10.0.0.2/24")]
    assert told(other.everything(swarm.state)) == []
    assert told(Session("z", NODE).everything(swarm.state)) == [(Action.UPDATE, "a1")]
    swarm.submit(DetachContainer(NODE, TaskId("a1")))
    session.dirty[TaskId("a1")] = None
    assert told(session.news(swarm.state)) == [(Action.REMOVE, "a1")]


def test_a_session_that_begins_again_is_told_how_an_attachment_was_seen_last() -> None:
    """An engine that was started again then finds that its container is not there, and says so."""
    swarm = CoreSwarm(nodes=1)
    attached(swarm)
    running = TaskStatus(TaskState.RUNNING, swarm.now, "started")
    swarm.submit(ReportTasks(NODE, (TaskId("a1"),), (running,)))
    task = Session("x", NODE).everything(swarm.state).tasks[0].assignment
    assert isinstance(task, AssignedTask)
    assert task.status == running


def test_the_end_of_a_subscription_is_told_to_whom_its_beginning_was_and_nothing_is_kept_for_others() -> None:
    session = Session("x", NODE)
    begun, over = (SubscriptionMessage("s1", LineSelector(), LineOptions(), close=close) for close in (False, True))
    session.subscribe(over)  # of one that this agent was not asked
    session.subscribe(begun)
    session.subscribe(over)
    assert session.take_subscriptions() == []
    session.subscribe(begun)
    assert session.take_subscriptions() == [begun]
    session.subscribe(over)
    assert session.take_subscriptions() == [over]
    assert not session.listening


async def test_an_agent_that_asks_for_no_subscriptions_has_none_kept_for_it() -> None:
    async with skep.Cluster.open(nodes=("a", "b")) as cluster:
        dispatcher = cluster.engine.dispatcher
        silent = Session("silent", NODE)
        dispatcher.sessions[NODE] = silent
        for _ in range(3):
            assert [line async for line in cluster.lines(LineSelector(), LineOptions())] == []
        assert not silent.subscriptions
