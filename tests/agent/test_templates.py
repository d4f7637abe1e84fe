"""Templates: expanded before the executor is given a task, and never told of beyond what may be told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from msgspec import structs
from skep.model.container import ConfigReference, Driver, FileTarget, Mount, SecretReference
from skep.model.ids import ConfigId, SecretId
from skep.model.states import TaskState
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep.runtime.agent import Agent
from skep.runtime.memory_lines import MemoryLineStore
from skep.runtime.simulated import SimulatedController, SimulatedExecutor
from structlog.testing import capture_logs

from tests.agent.scripted import NODE, ScriptedLink, task
from tests.agent.virtual import LoopClock

GOLANG = Driver(name="golang")
SECRET = AssignedSecret(SecretId("s1"), "sec1", b"s3cr3t")
KEY: dict[str, Any] = {"secrets": (SecretReference(FileTarget(name="sec1"), "s1", "sec1"),)}
BOTH: dict[str, Any] = {**KEY, "configs": (ConfigReference(FileTarget(name="/etc/t"), None, "c1", "tcfg"),)}


class Given:
    """What the executor was given of the last task."""

    task: AssignedTask
    secrets: Mapping[SecretId, AssignedSecret]
    configs: Mapping[ConfigId, AssignedConfig]


class NotingExecutor(SimulatedExecutor):
    """Notes what it is given."""

    def __init__(self) -> None:
        super().__init__(clock=LoopClock())
        self.given = Given()

    def controller(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[SecretId, AssignedSecret],
        configs: Mapping[ConfigId, AssignedConfig],
    ) -> SimulatedController:
        self.given.task, self.given.secrets, self.given.configs = task, secrets, configs
        return super().controller(task, secrets=secrets, configs=configs)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[tuple[ScriptedLink, Given]]:
    link, executor = ScriptedLink(), NotingExecutor()
    agent = Agent(link, executor, MemoryLineStore(), node_id=NODE, clock=LoopClock())
    async with asyncio.TaskGroup() as group:
        running_agent = group.create_task(agent.run())
        try:
            yield link, executor.given
        finally:
            running_agent.cancel()


def config(data: bytes, templating: Driver | None = GOLANG) -> AssignedConfig:
    return AssignedConfig(ConfigId("c1"), "tcfg", data, templating)


def secret(data: bytes, templating: Driver | None = GOLANG) -> AssignedSecret:
    return AssignedSecret(SecretId("s1"), "sec1", data, templating)


async def test_the_executor_is_given_the_container_expanded() -> None:
    async with running() as (link, given):
        assigned = task(
            labels={"tier": "gold"},
            hostname="{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}",
            env=("P={{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", 'L={{index .Service.Labels "tier"}}'),
            mounts=(Mount(type="volume", source="vol-{{.Task.Name}}", target="/{{.Node.ID}}"),),
            args=("{{.Task.Slot}}",),
        )
        link.complete(assigned)
        await link.until_state(TaskState.RUNNING)
    container = given.task.template.spec.container_spec
    assert container is not None
    assert container.hostname == "web-1-host"
    assert container.env == ("P=linux/x86_64", "L=gold")
    assert (container.mounts[0].source, container.mounts[0].target) == ("vol-web.1.t1", "/node-1")
    assert container.args == ("{{.Task.Slot}}",)
    spec = structs.replace(assigned.template.spec, container_spec=container)
    template = structs.replace(assigned.template, spec=spec)
    assert given.task == structs.replace(assigned, template=template)


@pytest.mark.parametrize("slot", [-1, 0])
async def test_the_slot_of_a_task_without_one_is_its_node(slot: int) -> None:
    # slot 0 is the first of a job's: recorded (scenario 23) is that it has none either
    async with running() as (link, given):
        link.complete(task(slot=slot, env=("TS={{.Task.Slot}}", "TN={{.Task.Name}}")))
        await link.until_state(TaskState.RUNNING)
    assert given.task.template.spec.container_spec is not None
    assert given.task.template.spec.container_spec.env == ("TS=node-1", "TN=web.node-1.t1")


async def test_a_templated_config_and_secret_are_given_expanded() -> None:
    async with running() as (link, given):
        text = b'n={{.Service.Name}} s={{.Task.Slot}} h={{.Node.Hostname}} e={{env "A"}} sec={{secret "sec1"}}'
        assigned = task(env=("A=envA{{.Task.Slot}}",), **BOTH)
        link.complete(secret(b"{{.Service.Name}}"), config(text), assigned)
        await link.until_state(TaskState.RUNNING)
    assert given.secrets[SecretId("s1")].data == b"web"
    # what it names is not expanded
    assert given.configs[ConfigId("c1")].data == b"n=web s=1 h= e=envA{{.Task.Slot}} sec={{.Service.Name}}"
    assert given.configs[ConfigId("c1")].templating is None
    assert "web" not in repr(given.configs)


async def test_a_secret_or_config_without_templating_is_given_as_it_is() -> None:
    async with running() as (link, given):
        link.complete(secret(b"{{.Nope", None), config(b"{{.Nope", None), task(env=("A={{.Task.Slot}}",), **BOTH))
        await link.until_state(TaskState.RUNNING)
    assert given.secrets[SecretId("s1")].data == b"{{.Nope"
    assert given.configs[ConfigId("c1")].data == b"{{.Nope"


async def test_a_template_that_cannot_be_expanded_rejects_the_task_with_a_sentence() -> None:
    async with running() as (link, _):
        link.complete(task(env=("A={{.Service.Labels.none}}",)))
        status = await link.until_state(TaskState.REJECTED)
    assert status.message == "preparing"
    assert status.err == (
        'expanding env failed: expanding env "A={{.Service.Labels.none}}": template: expansion:1:10: '
        'executing "expansion" at <.Service.Labels.none>: map has no entry for key "none"'
    )
    assert status.container is None


@pytest.mark.parametrize(
    ("assigned_secret", "assigned_config", "err"),
    [
        (
            SECRET,
            config(b"{{.Nope}}"),
            (
                "failed to expand templated config c1 (tcfg): template: expansion:1:2: executing "
                '"expansion" at <.Nope>: can\'t evaluate field Nope in type *template.PayloadContext'
            ),
        ),
        (
            SECRET,
            config(b'x\n{{config (secret "sec1")}}'),
            "failed to expand templated config c1 (tcfg): its template is wrong at line 2, column 2",
        ),
        (
            secret(b"s3cr3t {{.s3cr3t}}"),
            config(b"", None),
            "failed to expand templated secret s1 (sec1): its template is wrong at line 1, column 9",
        ),
        (
            secret(b"s3cr3t", Driver(name="bogus")),
            config(b"", None),
            "failed to expand templated secret s1 (sec1): unrecognized template type",
        ),
        (
            SECRET,
            config(b"x", Driver(name="bogus")),
            "failed to expand templated config c1 (tcfg): unrecognized template type",
        ),
        (
            secret(b"{{1}}" + b"s3cr3t" * 86_000),
            config(b"", None),
            (
                "failed to expand templated secret s1 (sec1): its template is wrong at line 1, column 2: "
                "it becomes more than 511999 bytes"
            ),
        ),
        (
            SECRET,
            config(b"{{1}}" + b"x" * 1_024_000),
            (
                "failed to expand templated config c1 (tcfg): template: expansion:1:2: executing "
                '"expansion" at <1>: it becomes more than 1023999 bytes'
            ),
        ),
    ],
)
async def test_a_secret_or_config_that_cannot_be_expanded_rejects_the_task_and_quotes_nothing_secret(
    assigned_secret: AssignedSecret, assigned_config: AssignedConfig, err: str
) -> None:
    with capture_logs() as logged:
        async with running() as (link, _):
            link.complete(assigned_secret, assigned_config, task(**BOTH))
            status = await link.until_state(TaskState.REJECTED)
    assert status.err == err
    assert "s3cr3t" not in f"{status}{logged}"


async def test_one_task_s_mistake_is_not_another_s() -> None:
    async with running() as (link, _):
        link.complete(SECRET, config(b"{{.Nope}}"), task("bad", **BOTH), task("good", **KEY))
        await link.until_state(TaskState.REJECTED, "bad")
        await link.until_state(TaskState.RUNNING, "good")
