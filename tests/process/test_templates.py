"""Templates, from the spec to what a real process finds in its environment and its files."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from process_harness import shell
from skep import Cluster
from skep.model.container import ConfigReference, ContainerSpec, Driver, FileTarget, SecretReference
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import ReplicatedMode, RestartPolicy, ServiceMode, ServiceSpec, TaskSpec
from skep.model.states import TaskState
from skep.model.task import Task
from skep.ports.link import LineSelector
from skep.ports.storage import Storage
from skep.runtime.memory import MemoryStorage
from skep_adapters.process.executor import ProcessExecutor

GOLANG = Driver(name="golang")

#: What the config of scenario 14 says, and a line more.
CONFIG = b"""n={{.Service.Name}} s={{.Task.Slot}} h={{.Node.Hostname}} e={{env "A"}} sec={{secret "sec1"}}
{{range $key, $value := .Service.Labels}}{{$key}}={{$value}} {{end}}{{if eq .Task.Slot "1"}}first{{end}}
"""

SHOW = 'env | sort; cat "$SKEP_CONFIGS_DIR/t" "$SKEP_SECRETS_DIR/tsec"; exec sleep 1000'


@asynccontextmanager
async def swarm(directory: Path, storage: Storage | None = None) -> AsyncIterator[Cluster]:
    def executor(name: str, _: int) -> ProcessExecutor:
        return ProcessExecutor(directory / name, hostname=name, stop_s=0)

    async with Cluster.open(executor=executor, storage=storage, nodes=("box",)) as cluster:
        yield cluster


def service(container: ContainerSpec) -> ServiceSpec:
    return ServiceSpec(
        name="use",
        labels={"tier": "gold", "a": "1"},
        mode=ServiceMode(replicated=ReplicatedMode(1)),
        task_template=TaskSpec(container_spec=container, restart_policy=RestartPolicy(condition="none")),
    )


async def with_files(cluster: Cluster, config: bytes = CONFIG, **container: object) -> ContainerSpec:
    sec1 = await cluster.secrets.create(SecretSpec(name="sec1"), b"s3cr3t")
    tsec = await cluster.secrets.create(
        SecretSpec(name="tsec", templating=GOLANG), b"{{.Service.Name}}-{{.Task.Slot}}\n"
    )
    tcfg = await cluster.configs.create(ConfigSpec(name="tcfg", data=config, templating=GOLANG))
    return shell(
        SHOW,
        secrets=(
            SecretReference(FileTarget(name="sec1"), sec1, "sec1"),
            SecretReference(FileTarget(name="tsec"), tsec, "tsec"),
        ),
        configs=(ConfigReference(FileTarget(name="/etc/t"), None, tcfg, "tcfg"),),
        **container,
    )


async def only_task(cluster: Cluster) -> Task:
    (task,) = await cluster.tasks.list("use")
    return task


async def test_a_process_finds_its_environment_and_its_files_expanded(tmp_path: Path) -> None:
    async with swarm(tmp_path) as cluster:
        env = ("A=envA", "NP={{.Node.Platform.OS}}", "TN={{.Task.Name}}", 'T={{index .Service.Labels "tier"}}')
        container = await with_files(cluster, hostname="{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}", env=env)
        service_id = await cluster.services.create(service(container))
        await cluster.converged("use")
        task = await only_task(cluster)
        found: list[str] = []
        with anyio.fail_after(30):
            while "use-1" not in found:
                await anyio.sleep(0.05)
                selector = LineSelector(service_ids=(service_id,))
                found = [each.line.data.decode().strip() async for each in cluster.lines(selector)]
        assert {"A=envA", "NP=linux", f"TN=use.1.{task.id}", "T=gold", "HOSTNAME=use-1-box"} <= {*found}
        assert found[-3:] == ["n=use s=1 h= e=envA sec=s3cr3t", "a=1 tier=gold first", "use-1"]
        # what was written is what is shown
        shown = (await cluster.services.get("use")).spec.container
        assert (shown.hostname, shown.env) == (container.hostname, container.env)
        assert (await cluster.configs.get("tcfg")).spec.data == CONFIG


async def test_what_cannot_be_expanded_rejects_the_task_and_leaves_no_secret_anywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = MemoryStorage()
    async with swarm(tmp_path, storage) as cluster:
        container = await with_files(cluster, b'{{config (secret "sec1")}}')
        await cluster.services.create(service(container))
        with anyio.fail_after(30):
            while (task := await only_task(cluster)).state is not TaskState.REJECTED:  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.05)
        assert task.status.err.endswith("(tcfg): its template is wrong at line 1, column 2")
        records = [record async for record in _records(cluster)]
        assert len(records) > 5
        assert "s3cr3t" not in str(records)
    told = capsys.readouterr()
    assert "s3cr3t" not in told.out + told.err


async def _records(cluster: Cluster) -> AsyncIterator[object]:
    newest = await cluster.read(lambda state: state.position)
    async for record in cluster.events():
        yield record
        if record.position >= newest:
            return
