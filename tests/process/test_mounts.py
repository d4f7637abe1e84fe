"""Mounts of processes: what is refused, what is mounted where, what is left on the node."""

# ruff: noqa: ASYNC240  # a test may look at the disk by itself

import os
import subprocess
import sys
from pathlib import Path

import pytest
from process_harness import running, shell
from skep.model.container import (
    BindOptions,
    ContainerSpec,
    Driver,
    HealthConfig,
    Mount,
    TmpfsOptions,
    VolumeOptions,
)
from skep.ports.executor import TaskFailed, TaskRejected
from skep_adapters.process.volumes import DirectoryVolumes

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount everywhere")


def mounted(script: str, *mounts: Mount, **fields: object) -> ContainerSpec:
    return shell(script, mounts=mounts, **fields)


BAD_NAME = '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'


def _let_everybody_through(path: Path) -> None:
    for folder in (path, *path.parents):
        if folder.name.startswith("pytest-of-"):
            break
        folder.chmod(0o711)
    folder.chmod(0o711)


INVALID = 'invalid mount config for type "{}": '


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        (Mount("bind", "/no/such", "/x"), INVALID.format("bind") + "bind source path does not exist: /no/such"),
        (Mount("bind", "x", "/x"), "invalid bind mount source, must be an absolute path: x"),
        (Mount("bind", "/usr", "x"), "invalid mount target, must be an absolute path: x"),
        (Mount("volume", "v1", "/"), INVALID.format("volume") + "invalid specification: destination can't be '/'"),
        (Mount("volume", "/v1", "/x"), "invalid volume mount source, must not be an absolute path: /v1"),
        (Mount("volume", "v", "/x"), "volume name is too short, names should be at least two alphanumeric characters"),
        (
            Mount("volume", "bad/name", "/x"),
            'create bad/name: "bad/name" includes invalid characters for a local volume name, only ' + BAD_NAME,
        ),
        (Mount("tmpfs", "x", "/x"), "invalid tmpfs source, source must be empty"),
        (Mount("npipe", "x", "/x"), 'mount type "npipe" unknown'),
        (
            Mount("bind", "/usr", "/x", bind_options=BindOptions(propagation="rshared")),
            INVALID.format("bind") + "propagation rshared: a process's mounts are its own, and are seen nowhere else",
        ),
        (
            Mount("volume", "v1", "/x", volume_options=VolumeOptions(driver_config=Driver("local", {"o": "ro"}))),
            INVALID.format("volume") + "options of a volume's driver (o): a volume is a directory here",
        ),
        (
            Mount("volume", "v1", "/x", volume_options=VolumeOptions(subpath="../..")),
            INVALID.format("volume") + "cannot access path ../.. of the volume",
        ),
        (
            Mount("tmpfs", target="/x", tmpfs_options=TmpfsOptions(options=(("bogus",),))),
            INVALID.format("tmpfs") + "invalid option: bogus",
        ),
    ],
)
async def test_what_can_never_be_mounted_is_rejected_in_dockers_words(tmp_path: Path, mount: Mount, words: str) -> None:
    volumes = DirectoryVolumes(tmp_path / "volumes")
    async with running(tmp_path / "state", volumes=volumes) as cluster:
        with pytest.raises(TaskRejected) as rejected:
            await cluster.controller(mounted("true", mount)).prepare()
        assert str(rejected.value) == words
        assert not [volume for volume in await volumes.all() if volume.users]


@AS_ROOT
async def test_a_bind_mount_is_where_the_spec_says_and_seen_by_its_task_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "not" / "there"
    source.mkdir()
    async with running(tmp_path / "state") as cluster:
        await cluster.output(mounted(f"echo x > {target}/file", Mount("bind", str(source), str(target))))
        assert (source / "file").read_text() == "x\n"
        assert list(target.iterdir()) == []
        assert str(target) not in Path("/proc/self/mountinfo").read_text()


@AS_ROOT
async def test_a_file_can_be_mounted_over_a_file(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "hosts"
    source.write_text("mine\n")
    async with running(tmp_path / "state") as cluster:
        for each in (target, Path("/etc/hosts")):
            spec = mounted(f"cat {each}", Mount("bind", str(source), str(each)))
            assert await cluster.output(spec) == "mine\n"


@AS_ROOT
@pytest.mark.parametrize("how", [BindOptions(), BindOptions(read_only_force_recursive=True)])
async def test_what_is_read_only_cannot_be_written_to(tmp_path: Path, how: BindOptions) -> None:
    async with running(tmp_path / "state") as cluster:
        (tmp_path / "source").mkdir()
        bind = Mount("bind", str(tmp_path / "source"), str(tmp_path / "t1"), read_only=True, bind_options=how)
        tmpfs = Mount("tmpfs", target=str(tmp_path / "t2"), read_only=True)
        volume = Mount("volume", "data", str(tmp_path / "t3"), read_only=True)
        script = f"for n in 1 2 3; do touch {tmp_path}/t$n/x 2> /dev/null && echo written; done; true"
        assert await cluster.output(mounted(script, bind, tmpfs, volume)) == ""


@AS_ROOT
async def test_sources_are_the_nodes_whatever_other_mounts_cover_and_inner_targets_come_last(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_text("from a\n")
    outer, inner = str(tmp_path / "t"), str(tmp_path / "t" / "in")
    async with running(tmp_path / "state") as cluster:
        hidden = Mount("tmpfs", target=str(tmp_path / "a"))
        binds = Mount("bind", str(tmp_path / "a"), inner), Mount("volume", "data", outer)
        assert await cluster.output(mounted(f"cat {inner}/f; ls {tmp_path}/a", hidden, *binds)) == "from a\n"


@AS_ROOT
async def test_a_tmpfs_has_its_size_and_mode_and_ends_with_its_task(tmp_path: Path) -> None:
    options = TmpfsOptions(size_bytes=1024 * 1024, mode=0o700, options=(("exec",), ("uid", "7")))
    target = tmp_path / "t"
    async with running(tmp_path / "state") as cluster:
        script = (
            f"stat -f -c '%T %b %s' {target}; stat -c '%a %u' {target}; head -c 2000000 /dev/zero > {target}/x; "
            f"cp /bin/true {target}/run 2> /dev/null; grep ' {target} ' /proc/self/mountinfo"
        )
        out = await cluster.output(mounted(script, Mount("tmpfs", target=str(target), tmpfs_options=options)))
        assert out.splitlines()[:2] == ["tmpfs 256 4096", "700 7"]
        assert "No space left" in out
        assert "noexec" not in out.splitlines()[-1]
        assert "nosuid" in out.splitlines()[-1]
        assert not list(target.iterdir())


@AS_ROOT
async def test_a_volume_outlives_its_tasks_and_belongs_to_the_first_ones_user(tmp_path: Path) -> None:
    target = str(tmp_path / "t")
    volumes = DirectoryVolumes(tmp_path / "volumes")
    _let_everybody_through(tmp_path)
    async with running(tmp_path / "state", volumes=volumes) as cluster:
        options = VolumeOptions(labels={"a": "b"})
        writer = await cluster.started(
            mounted(f"echo kept > {target}/x", Mount("volume", "data", target, volume_options=options), user="nobody")
        )
        await writer.wait()
        await writer.remove()
        assert await cluster.output(mounted(f"cat {target}/x", Mount("volume", "data", target))) == "kept\n"
    (volume,) = await DirectoryVolumes(tmp_path / "volumes").all()
    assert (volume.name, volume.labels, volume.users) == ("data", {"a": "b"}, ())


@AS_ROOT
async def test_an_anonymous_volume_goes_with_its_task(tmp_path: Path) -> None:
    volumes = DirectoryVolumes(tmp_path / "volumes")
    async with running(tmp_path / "state", volumes=volumes) as cluster:
        controller = await cluster.started(mounted("sleep 100", Mount("volume", "", str(tmp_path / "t"))))
        (volume,) = await volumes.all()
        assert len(volume.name) == 64
        assert volume.users == (controller.status.container_id if controller.status else "",)
        await controller.remove()
        assert not await volumes.all()
        both = Mount("volume", "", str(tmp_path / "t")), Mount("volume", "data", str(tmp_path / "u"))
        await cluster.started(mounted("sleep 100", *both))
    assert [(volume.name, volume.users) for volume in await volumes.all()] == [("data", ())]


async def test_anonymous_volumes_of_a_life_that_was_killed_go_when_the_next_begins(tmp_path: Path) -> None:
    killed = DirectoryVolumes(tmp_path / "volumes")
    await killed.hold("", "container", labels={}, account=None, task_id="task")
    named = await killed.create("", {})
    assert [volume.name for volume in await DirectoryVolumes(tmp_path / "volumes").all()] == [named.name]


@AS_ROOT
async def test_a_probe_sees_what_its_task_sees(tmp_path: Path) -> None:
    target = str(tmp_path / "t")
    health = HealthConfig(("CMD", "test", "-e", f"{target}/x"), 50_000_000, 5_000_000_000)
    async with running(tmp_path / "state") as cluster:
        await cluster.started(
            mounted(f"touch {target}/x; sleep 100", Mount("tmpfs", target=target), healthcheck=health)
        )


@AS_ROOT
async def test_a_target_that_cannot_be_made_fails_by_name(tmp_path: Path) -> None:
    async with running(tmp_path / "state") as cluster:
        with pytest.raises(TaskFailed, match=r"^starting container failed: .*: mount /proc/no/x: no such file"):
            await cluster.started(mounted("true", Mount("tmpfs", target="/proc/no/x")))


_AS_SOMEBODY = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from process_harness import running, shell
from skep.model.container import HealthConfig, Mount
os.setgroups([]); os.setgid(65534); os.setuid(65534)
if not os.access(sys.executable, os.X_OK):
    sys.executable = "/usr/bin/python3"

async def main():
    home = Path(sys.argv[1])
    target = home / "t"
    health = HealthConfig(("CMD", "test", "-e", f"{target}/x"), 50_000_000, 5_000_000_000)
    async with running(home / "state") as cluster:
        mounts = (Mount("volume", "data", str(target)), Mount("bind", "/etc", str(home / "b"), read_only=True))
        script = f"id -u; touch {target}/x; ls {home}/b/passwd; sleep 0.5"
        print(await cluster.output(shell(script, mounts=mounts, healthcheck=health)))

asyncio.run(main())
"""


@AS_ROOT
def test_an_agent_that_is_not_root_mounts_in_a_namespace_of_users(tmp_path: Path) -> None:
    allowed = subprocess.run(
        ["unshare", "-Um", "true"], user=65534, group=65534, extra_groups=[], capture_output=True, check=False
    )
    if allowed.returncode:
        pytest.skip("this machine lets users make no namespaces")
    _let_everybody_through(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    words = [sys.executable, "-c", _AS_SOMEBODY, str(home), str(Path(__file__).parent)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split() == ["65534", f"{home}/b/passwd"], ran.stderr
