"""Limits of processes: by the machine's own control groups where it has them, and as they are written."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from process_harness import Cluster, running, task_of
from skep.model.container import ContainerSpec, HealthConfig
from skep.model.ids import NANOSECONDS
from skep.model.service import Limits, ResourceRequirements, TaskSpec, TaskTemplate
from skep.ports.executor import TaskFailed
from skep_adapters.process.cgroups import Cgroups, Hierarchy, find_hierarchies, limits_of
from skep_adapters.process.controller import ProcessController

HERE = find_hierarchies()

MEBIBYTE = 1024 * 1024

EATING = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo eaten"


def limiting(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(f"Resources.{name}" not in limits_of(HERE), reason="this machine lets nobody set it")


def controller(cluster: Cluster, script: str, resources: ResourceRequirements, **fields: object) -> ProcessController:
    container = ContainerSpec(image="none", command=("/bin/sh", "-c", script), **fields)
    task = task_of(container)
    template = TaskTemplate(service_name="web", spec=TaskSpec(container_spec=container, resources=resources))

    return cluster.executor.controller(replace(task, template=template), secrets={}, configs={})


def groups(task_id: str) -> list[Path]:
    return [path for one in HERE for path in one.path.glob(f"skep-*-{task_id}")]


async def run(cluster: Cluster, script: str, limits: Limits) -> tuple[ProcessController, str]:
    """Run a task to its end; return it and what it printed."""
    ran = controller(cluster, script, ResourceRequirements(limits=limits))
    await ran.prepare()
    await ran.start()
    try:
        await ran.wait()
    finally:
        assert groups(ran.task_id)
        await ran.remove()
        assert not groups(ran.task_id)
    return ran, cluster.lines.text(ran.task_id)


@limiting("Limits.MemoryBytes")
async def test_a_task_that_takes_more_memory_than_its_limit_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(TaskFailed, match=r"^task: non-zero exit \(137\)$"):
            await run(cluster, EATING, Limits(memory_bytes=32 * MEBIBYTE))
        _, said = await run(cluster, EATING, Limits(memory_bytes=2048 * MEBIBYTE))
        assert said == "eaten\n"


@limiting("Limits.Pids")
async def test_a_task_cannot_have_more_processes_than_its_limit(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        script = "for n in 1 2 3 4 5 6 7 8; do sleep 0.3 & done; wait; echo all"
        with pytest.raises(TaskFailed):
            await run(cluster, script, Limits(pids=4))
        _, said = await run(cluster, script, Limits(pids=20))
        assert said == "all\n"


@limiting("Limits.NanoCPUs")
async def test_a_task_has_its_share_of_a_processor(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        script = "timeout 1 sh -c 'while :; do :; done'; times"
        _, said = await run(cluster, script, Limits(nano_cpus=NANOSECONDS // 10))
        minutes, _, seconds = said.splitlines()[1].split()[0].rstrip("s").partition("m")
        assert 60 * int(minutes) + float(seconds) < 0.4


@limiting("Limits.MemoryBytes")
async def test_a_probe_is_limited_with_its_task_and_leftovers_go(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        seen = tmp_path / "seen"
        health = HealthConfig(("CMD-SHELL", f"cat /proc/self/cgroup > {seen}"), NANOSECONDS // 20, 5 * NANOSECONDS)
        resources = ResourceRequirements(limits=Limits(memory_bytes=64 * MEBIBYTE))
        ran = controller(cluster, "sleep 100", resources, healthcheck=health)
        await ran.prepare()
        await ran.start()
        assert ran.task_id in seen.read_text()
        assert groups(ran.task_id)
    assert not groups(ran.task_id)


ALL = ResourceRequirements(
    limits=Limits(nano_cpus=NANOSECONDS // 2, memory_bytes=64 * MEBIBYTE, pids=9), swap_bytes=MEBIBYTE
)


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (
            1,
            {
                "memory.limit_in_bytes": "67108864",
                "memory.memsw.limit_in_bytes": "68157440",
                "cpu.cfs_period_us": "100000",
                "cpu.cfs_quota_us": "50000",
                "pids.max": "9",
            },
        ),
        (2, {"memory.max": "67108864", "memory.swap.max": "1048576", "cpu.max": "50000 100000", "pids.max": "9"}),
    ],
)
def test_both_versions_are_written_as_the_kernel_reads_them(
    tmp_path: Path, version: int, files: dict[str, str]
) -> None:
    (tmp_path / "memory.memsw.limit_in_bytes").touch()
    cgroups = Cgroups(Path("/x"), [Hierarchy(tmp_path, ("memory", "cpu", "pids"), version)])
    (entered,) = cgroups.make("task", ALL)
    folder = Path(entered).parent
    assert {path.name: path.read_text() for path in folder.iterdir()} == files


def test_without_a_limit_there_is_no_group(tmp_path: Path) -> None:
    cgroups = Cgroups(Path("/x"), [Hierarchy(tmp_path, ("memory", "cpu", "pids"), 2)])
    assert cgroups.make("task", ResourceRequirements(limits=Limits())) == []
    assert not list(tmp_path.iterdir())


def _machine(tmp_path: Path, own: str, mounts: str) -> Path:
    (tmp_path / "cgroup").write_text(own)
    (tmp_path / "mountinfo").write_text(mounts.replace("TMP", str(tmp_path)))
    return tmp_path


def test_the_groups_of_version_one_are_found_below_the_agents_own(tmp_path: Path) -> None:
    (tmp_path / "memory" / "own").mkdir(parents=True)
    (tmp_path / "both").mkdir()
    mounts = (
        "1 2 0:3 / TMP/memory rw - cgroup cgroup rw,memory\n4 2 0:5 /me TMP/both rw - cgroup none rw,cpuacct,cpu\n"
        "5 2 0:5 / TMP/pids rw - cgroup none rw,pids\n6 2 8:1 / / rw - ext4 /dev/x rw\n"
    )
    found = find_hierarchies(_machine(tmp_path, "3:memory:/own\n2:cpu,cpuacct:/me\n1:pids:/gone\n", mounts))
    assert found == [
        Hierarchy(tmp_path / "memory" / "own", ("memory",), 1),
        Hierarchy(tmp_path / "both", ("cpu",), 1),
    ]


def _delegate(path: Path) -> None:
    try:
        os.setxattr(path, "user.delegate", b"1")
    except OSError:
        pytest.skip("this file system keeps no attributes of users")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The group of version 2 that an agent is in, on a machine that is made of files."""
    own = tmp_path / "two" / "up" / "own"
    own.mkdir(parents=True)
    _machine(tmp_path, "0::/up/own\n", "1 2 0:3 / TMP/two rw - cgroup2 cgroup2 rw\n")
    return own


def test_a_group_of_version_two_that_has_no_controllers_or_has_processes_limits_nothing(
    tmp_path: Path, own: Path
) -> None:
    assert find_hierarchies(tmp_path) == []
    (own / "cgroup.controllers").write_text("cpuset cpu memory")
    (own / "cgroup.subtree_control").mkdir()  # cannot be written to, as where a group has processes
    assert find_hierarchies(tmp_path) == []


def test_beside_an_agent_in_a_group_of_its_own_are_the_groups_of_its_tasks(tmp_path: Path, own: Path) -> None:
    (own.parent / "cgroup.controllers").write_text("cpu memory pids")
    assert find_hierarchies(tmp_path) == []
    _delegate(own.parent)
    assert find_hierarchies(tmp_path) == [Hierarchy(own.parent, ("memory", "cpu", "pids"), 2)]
    assert (own.parent / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"


@pytest.mark.parametrize("alone", [True, False])
def test_an_agent_moves_out_of_the_way_in_a_group_that_was_delegated_to_it_alone(
    tmp_path: Path, own: Path, alone: bool
) -> None:
    (own / "cgroup.controllers").write_text("pids")
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n" + ("" if alone else "1\n"))
    _delegate(own)
    assert find_hierarchies(tmp_path) == [Hierarchy(own, ("pids",), 2)]
    assert (own / "daemon" / "cgroup.procs").exists() == alone
