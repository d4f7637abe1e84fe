"""Whatever networks its service names, a process is where its node is."""

from pathlib import Path

import anyio
import pytest
import skep
from process_harness import shell
from skep import Cluster
from skep.model.service import NetworkAttachment, ReplicatedMode, ServiceMode, ServiceSpec, TaskSpec
from skep_adapters.process.executor import ProcessExecutor

#: The namespace of these tests' own network.
OURS = str(Path("/proc/self/ns/net").readlink())


@pytest.mark.parametrize("network", ["host", "bridge", "over"])
async def test_a_process_is_on_the_network_of_its_node(tmp_path: Path, network: str) -> None:
    def executor(name: str, _: int) -> ProcessExecutor:
        return ProcessExecutor(tmp_path / name, hostname=name, stop_s=0)

    found = tmp_path / "found"
    script = f"readlink /proc/self/ns/net > {found}.new; mv {found}.new {found}; exec sleep 1000"
    task = TaskSpec(container_spec=shell(script), networks=(NetworkAttachment(target=network),))
    spec = ServiceSpec(name="web", mode=ServiceMode(replicated=ReplicatedMode(1)), task_template=task)
    async with Cluster.open(executor=executor, nodes=("box",)) as cluster:
        await cluster.networks.create(skep.network_spec("over"))
        await cluster.services.create(spec)
        await cluster.converged("web")
        with anyio.fail_after(30):
            while not found.exists():  # noqa: ASYNC110 - nothing tells
                await anyio.sleep(0.05)
    assert found.read_text().strip() == OURS
