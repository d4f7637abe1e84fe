"""What an agent is told in its session, and what it is not: played by hand over the link of a node without an agent."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
import pytest
import skep
from msgspec.structs import replace
from skep.model.ids import NANOSECONDS, NodeId, TaskId
from skep.model.node import Node, NodeDescription
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import Placement, RestartPolicy, ServiceSpec
from skep.model.states import NodeState, TaskState
from skep.model.swarm import DispatcherConfig
from skep.model.task import TaskStatus
from skep.ports.link import (
    Action,
    AssignedConfig,
    AssignedSecret,
    AssignedTask,
    AssignmentKind,
    AssignmentsMessage,
    LinkError,
    SessionMessage,
    SessionRequest,
    TaskReport,
)
from skep.runtime.cluster import Cluster
from skep.runtime.dispatcher import HEARTBEAT_S_MIN, LocalLink
from skep.runtime.memory import MemoryStorage
from skep.testing.engine_test import engine_test

T = TypeVar("T")

REQUEST = SessionRequest(NodeDescription(hostname="node2"), "127.0.0.2")
ONCE = RestartPolicy(condition="none")


class Played:
    """A cluster, and a node of it whose agent is the test."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self.cluster = cluster
        self.node_id: NodeId = node.id
        self.link: LocalLink = cluster.engine.dispatcher.link(node.id)

    async def node(self) -> Node:
        return await self.cluster.nodes.get(self.node_id)

    async def say(self, session_id: str, task_id: TaskId, state: TaskState) -> None:
        status = TaskStatus(state, self.cluster.engine.writer.state.time, state.word)
        await self.link.update_task_status(session_id, [TaskReport(task_id, status)])

    async def bound(self, name: str, restart: RestartPolicy = ONCE) -> ServiceSpec:
        """Return what runs on the node alone, and uses all secrets and configs that there are."""
        secrets, configs = await self.cluster.secrets.list(), await self.cluster.configs.list()
        spec = skep.service_spec(name, "demo", secrets=secrets, configs=configs, restart=restart)
        there = Placement(constraints=(f"node.id == {self.node_id}",))
        return replace(spec, task_template=replace(spec.template, placement=there))


@asynccontextmanager
async def played() -> AsyncIterator[Played]:
    storage = MemoryStorage()
    async with engine_test(storage=storage, nodes=2):
        await anyio.sleep(1)
    async with engine_test(storage=storage, nodes=1) as cluster:
        yield Played(cluster, await cluster.nodes.get("node2"))


async def soon(answer: Awaitable[T]) -> T:
    with anyio.fail_after(5):
        return await answer


async def exhausted(stream: AsyncIterator[object]) -> None:
    """Take what is in a stream until it fails."""
    while True:
        await soon(anext(stream))


def told(message: AssignmentsMessage) -> list[tuple[str, Action]]:
    """Return what a message is about, with what to do with it."""
    kinds = {AssignedTask: "task", AssignedSecret: "secret", AssignedConfig: "config"}
    return [(kinds[type(change.assignment)], change.action) for change in message.changes]


async def test_what_changes_of_a_node_is_told_in_its_session() -> None:
    async with played() as it, it.link.session(REQUEST) as messages:
        first = await soon(anext(messages))
        assert isinstance(first, SessionMessage)
        assert (first.node.id, first.node.status.state) == (it.node_id, NodeState.READY)
        assert [peer.node_id for peer in first.managers] == [it.cluster.node_id]
        assert first.root_ca.startswith("-----BEGIN CERTIFICATE-----")
        node = await it.node()
        await it.cluster.nodes.update(node.id, node.version, replace(node.spec, labels={"zone": "a"}))
        assert (await soon(anext(messages))).node.spec.labels == {"zone": "a"}


async def test_what_changes_of_another_node_is_not_told() -> None:
    async with played() as it, it.link.session(REQUEST) as messages:
        await soon(anext(messages))
        other = await it.cluster.nodes.get("node1")
        await it.cluster.nodes.update(other.id, other.version, replace(other.spec, labels={"zone": "a"}))
        with pytest.raises(TimeoutError):
            await soon(anext(messages))


async def test_another_heartbeat_is_told_with_the_next_one() -> None:
    async with played() as it, it.link.session(REQUEST) as messages:
        session_id = (await anext(messages)).session_id
        assert await it.link.heartbeat(session_id) == 5.0
        swarm = await it.cluster.swarm.inspect()
        slower = DispatcherConfig(heartbeat_period=20 * NANOSECONDS)
        await it.cluster.swarm.update(swarm.version, replace(swarm.spec, dispatcher=slower))
        assert await it.link.heartbeat(session_id) == 20.0
        await anyio.sleep(55)
        assert (await it.node()).status.state is NodeState.READY
        await anyio.sleep(10)
        assert (await it.node()).status.state is NodeState.DOWN
        with pytest.raises(LinkError, match="is not known"):
            await it.link.heartbeat(session_id)


async def test_a_heartbeat_of_a_nanosecond_keeps_nobody_busy_and_no_node_down() -> None:
    async with played() as it:
        swarm = await it.cluster.swarm.inspect()
        hasty = DispatcherConfig(heartbeat_period=1)
        await it.cluster.swarm.update(swarm.version, replace(swarm.spec, dispatcher=hasty))
        async with it.link.session(REQUEST) as messages:
            assert await it.link.heartbeat((await anext(messages)).session_id) == HEARTBEAT_S_MIN
        await anyio.sleep(20)
        first = await it.cluster.nodes.get("node1")
        version = first.version
        await anyio.sleep(20)
        first = await it.cluster.nodes.get("node1")
        assert (first.status.state, first.version) == (NodeState.READY, version)


@pytest.mark.parametrize("session_id", ["", "made-up"])
async def test_who_has_no_session_is_refused_whatever_it_asks(session_id: str) -> None:
    async with played() as it:
        words = f"session {session_id} of node {it.node_id} is not known"
        with pytest.raises(LinkError, match=words):
            await it.link.heartbeat(session_id)
        with pytest.raises(LinkError, match=words):
            await anext(it.link.assignments(session_id))
        with pytest.raises(LinkError, match=words):
            await it.say(session_id, TaskId("any"), TaskState.FAILED)
        with pytest.raises(LinkError, match=words):
            await anext(it.link.subscriptions(session_id))


async def test_another_node_s_session_is_no_session() -> None:
    async with played() as it:
        first = await it.cluster.nodes.get("node1")
        with pytest.raises(LinkError, match="is not known"):
            await it.link.heartbeat(it.cluster.engine.dispatcher.sessions[first.id].id)


async def test_a_secret_comes_before_its_task_and_goes_when_the_task_has_ended() -> None:
    async with played() as it, it.link.session(REQUEST) as messages:
        session_id = (await anext(messages)).session_id
        await it.cluster.secrets.create(SecretSpec(name="pw"), b"sesame")
        await it.cluster.configs.create(ConfigSpec(name="conf", data=b"a=1"))
        assignments = it.link.assignments(session_id)
        nothing = await soon(anext(assignments))
        assert (nothing.kind, nothing.changes) == (AssignmentKind.COMPLETE, ())
        await it.cluster.services.create(await it.bound("web"))
        message = await soon(anext(assignments))
        assert told(message) == [(kind, Action.UPDATE) for kind in ("config", "secret", "task")]
        assert [c.assignment.data for c in message.changes if isinstance(c.assignment, AssignedSecret)] == [b"sesame"]
        assert (message.kind, message.applies_to) == (AssignmentKind.INCREMENTAL, nothing.results_in)
        assert "sesame" not in repr(message)
        (task,) = await it.cluster.tasks.list("web")
        await it.say(session_id, task.id, TaskState.RUNNING)
        await it.say(session_id, task.id, TaskState.COMPLETE)
        seen: list[tuple[str, Action]] = []
        while ("secret", Action.REMOVE) not in seen:
            seen += told(await soon(anext(assignments)))
        assert ("config", Action.REMOVE) in seen
        assert ("task", Action.REMOVE) not in seen, "the task is history, and kept"


async def test_a_session_that_is_built_anew_is_told_what_lives_with_its_secrets_and_what_ended_without() -> None:
    async with played() as it:
        await it.cluster.secrets.create(SecretSpec(name="pw"), b"sesame")
        spec = await it.bound("web")
        await it.cluster.services.create(spec)
        async with it.link.session(REQUEST) as messages:
            session_id = (await anext(messages)).session_id
            await anyio.sleep(1)
            (task,) = await it.cluster.tasks.list("web")
            await it.say(session_id, task.id, TaskState.RUNNING)
        for state, kinds in ((TaskState.RUNNING, ["secret", "task"]), (TaskState.FAILED, ["task"])):
            async with it.link.session(REQUEST) as messages:
                session_id = (await anext(messages)).session_id
                complete = await soon(anext(it.link.assignments(session_id)))
                assert [kind for kind, _ in told(complete)] == kinds, state
                await it.say(session_id, task.id, TaskState.FAILED)


async def test_a_node_that_is_removed_by_force_while_its_agent_lives_is_told_nothing_more() -> None:
    async with played() as it:
        dispatcher = it.cluster.engine.dispatcher
        async with it.link.session(REQUEST) as messages:
            session_id = (await anext(messages)).session_id
            assignments = it.link.assignments(session_id)
            await soon(anext(assignments))
            await it.cluster.services.create(await it.bound("web"))
            await soon(anext(assignments))
            (task,) = await it.cluster.tasks.list("web")
            await it.say(session_id, task.id, TaskState.RUNNING)
            await it.cluster.nodes.remove(it.node_id, force=True)
            words = f"node {it.node_id} was removed"
            for stream in (messages, assignments):
                with pytest.raises(LinkError, match=words):
                    await exhausted(stream)
            with pytest.raises(LinkError, match="is not known"):
                await it.link.heartbeat(session_id)
            with pytest.raises(LinkError, match="is not known"):
                await it.say(session_id, task.id, TaskState.FAILED)
        assert {t.state for t in await it.cluster.tasks.list("web") if t.id == task.id} <= {TaskState.ORPHANED}
        with pytest.raises(LinkError, match=f"node {it.node_id} is no member of this swarm"):
            async with it.link.session(REQUEST):
                pass
        assert it.node_id not in dispatcher.sessions
        assert it.node_id not in dispatcher.liveness._deadlines
        await anyio.sleep(60)


async def test_a_node_that_registers_again_is_told_what_is_true_now() -> None:
    """It was down meanwhile: its task was replaced elsewhere and is to stop."""
    async with played() as it:
        spec = skep.service_spec("web", "demo", replicas=2)
        async with it.link.session(REQUEST) as messages:
            session_id = (await anext(messages)).session_id
            await it.cluster.services.create(spec)
            await anyio.sleep(1)
            (task,) = [t for t in await it.cluster.tasks.list("web") if t.node_id == it.node_id]
            await it.say(session_id, task.id, TaskState.RUNNING)
            await anyio.sleep(60)
            with pytest.raises(LinkError, match="heartbeat failure"):
                await exhausted(messages)
        assert (await it.node()).status.state is NodeState.DOWN
        async with it.link.session(REQUEST) as messages:
            session_id = (await anext(messages)).session_id
            complete = await soon(anext(it.link.assignments(session_id)))
            (change,) = complete.changes
            assert isinstance(change.assignment, AssignedTask)
            assert (change.assignment.id, change.assignment.desired) == (task.id, TaskState.SHUTDOWN)
            await it.say(session_id, task.id, TaskState.SHUTDOWN)
            assert (await it.node()).status.state is NodeState.READY
        await it.cluster.converged("web")
