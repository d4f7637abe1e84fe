"""Secrets and configs: files on tmpfs, the task's alone, gone with it."""

# ruff: noqa: ASYNC240  # a test may look at the disk by itself

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from process_harness import Cluster, running, shell
from skep.model.container import ConfigReference, ContainerSpec, FileTarget, SecretReference
from skep.model.ids import ConfigId, SecretId
from skep.ports.executor import TaskRejected
from skep.ports.link import AssignedConfig, AssignedSecret
from skep_adapters.process.private_files import find_memory_dir, in_memory

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")

SHOW = 'cd "$SKEP_SECRETS_DIR" && stat -c "%a %U %n" . * && cat *; df --output=fstype . | tail -1; pwd'


NAMES = {"secret_id": "s1", "secret_name": "key"}


def secret(name: str, **target: str | int) -> SecretReference:
    file = FileTarget(**{"name": name, **target})  # type: ignore[arg-type]  # a test's own keywords
    return SecretReference(file=file, **NAMES)


def with_files(cluster: Cluster) -> Cluster:
    cluster.secrets[SecretId("s1")] = AssignedSecret(SecretId("s1"), "key", b"hidden\n")
    cluster.configs[ConfigId("c1")] = AssignedConfig(ConfigId("c1"), "conf", b"plain\n")
    return cluster


async def test_a_secret_is_a_file_of_mode_0400_on_tmpfs_and_gone_with_the_task(tmp_path: Path) -> None:
    async with running(tmp_path) as opened:
        cluster = with_files(opened)
        reference = secret("app.key", mode=0o444, uid="0", gid="0")
        controller = await cluster.started(shell(SHOW + "; sleep 0.5", secrets=(reference,)))
        await cluster.lines.first(controller.task_id)
        await asyncio.sleep(0.2)
        me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()  # noqa: ASYNC221  # a test
        modes, key, content, kind, folder = cluster.lines.text(controller.task_id).splitlines()
        assert modes == f"700 {me} ."
        assert key == f"400 {me} app.key"
        assert content == "hidden"
        assert kind == "tmpfs"
        assert not folder.startswith(str(tmp_path))
        assert Path(folder).exists()
        await controller.wait()
        await controller.remove()
        assert not Path(folder).parent.exists()


async def test_nothing_of_a_secret_is_in_the_state_directory(tmp_path: Path) -> None:
    async with running(tmp_path) as opened:
        controller = await with_files(opened).started(shell("sleep 1000", secrets=(secret("app.key"),)))
        found = [path for path in tmp_path.rglob("*") if path.is_file() and b"hidden" in path.read_bytes()]
        assert not found
        await controller.stop(0)


async def test_configs_have_a_folder_of_their_own(tmp_path: Path) -> None:
    async with running(tmp_path) as opened:
        cluster = with_files(opened)
        config = ConfigReference(file=FileTarget(name="/etc/app/app.conf"), config_id="c1", config_name="conf")
        spec = shell('cat "$SKEP_CONFIGS_DIR"/app.conf; echo ${SKEP_SECRETS_DIR:-none}', configs=(config,))
        assert await cluster.output(spec) == "plain\nnone\n"


@AS_ROOT
async def test_the_tasks_user_owns_its_secrets(tmp_path: Path) -> None:
    async with running(tmp_path) as opened:
        cluster = with_files(opened)
        out = await cluster.output(shell(SHOW, user="nobody", secrets=(secret("k", uid="0", mode=0o444),)))
        assert out.splitlines()[:3] == ["700 nobody .", "400 nobody k", "hidden"]


@AS_ROOT
async def test_another_owner_keeps_the_specs_mode(tmp_path: Path) -> None:
    async with running(tmp_path) as opened:
        cluster = with_files(opened)
        out = await cluster.output(shell(SHOW, user="nobody", secrets=(secret("k", uid="1", mode=0o444),)))
        assert out.splitlines()[:3] == ["700 nobody .", "444 daemon k", "hidden"]


async def test_two_targets_that_would_be_one_file_are_rejected(tmp_path: Path) -> None:
    async with running(tmp_path) as opened:
        spec = shell("true", secrets=(secret("/a/key"), secret("/b/key")))
        with pytest.raises(TaskRejected, match="two targets would both be the file key"):
            await with_files(opened).controller(spec).prepare()


@pytest.mark.parametrize("name", ["..", "/", ""])
async def test_a_target_that_names_no_file_is_rejected(tmp_path: Path, name: str) -> None:
    async with running(tmp_path) as opened:
        with pytest.raises(TaskRejected, match="does not name a file"):
            await with_files(opened).controller(shell("true", secrets=(secret(name),))).prepare()


async def test_a_secret_that_is_not_there_is_rejected(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        with pytest.raises(TaskRejected, match=r"secret key \(s1\) is not on this node"):
            await cluster.controller(shell("true", secrets=(secret("k"),))).prepare()


async def test_without_tmpfs_a_task_with_secrets_is_rejected_and_one_without_runs(tmp_path: Path) -> None:
    disk = Path("/proc")
    assert not in_memory(disk)
    async with running(tmp_path, run_dir=disk) as opened:
        cluster = with_files(opened)
        with pytest.raises(TaskRejected, match="must be kept in memory, and there is no tmpfs"):
            await cluster.controller(shell("true", secrets=(secret("k"),))).prepare()
        assert await cluster.output(shell("echo fine")) == "fine\n"


async def test_a_directory_of_somebody_elses_is_not_used(tmp_path: Path) -> None:
    memory = find_memory_dir()
    assert memory is not None
    async with running(tmp_path) as opened:
        cluster = with_files(opened)
        root = opened.executor._private._root
        assert root is not None
        root.mkdir()
        root.chmod(0o777)
        with pytest.raises(TaskRejected, match="is not a directory of the agent's own"):
            await cluster.controller(shell("true", secrets=(secret("k"),))).prepare()


async def test_secrets_of_an_agent_that_was_killed_are_gone_after_open(tmp_path: Path) -> None:
    async with running(tmp_path) as opened:
        cluster = with_files(opened)
        controller = await cluster.started(shell('echo "$SKEP_SECRETS_DIR"', secrets=(secret("k"),)))
        await controller.wait()
        folder = Path(cluster.lines.text(controller.task_id).strip())
    assert not folder.exists()
    folder.mkdir(parents=True)
    (folder / "k").write_bytes(b"hidden")
    async with running(tmp_path):
        assert not folder.exists()


async def test_a_task_that_takes_the_permissions_away_cannot_keep_its_secrets(tmp_path: Path) -> None:
    async with running(tmp_path) as opened:
        cluster = with_files(opened)
        script = 'echo $SKEP_SECRETS_DIR; mkdir d; touch d/f; chmod 0 d; chmod 0 . "$SKEP_SECRETS_DIR"'
        controller = await cluster.started(shell(script, secrets=(secret("k"),)))
        await controller.wait()
        folder = Path(cluster.lines.text(controller.task_id).strip())
        await controller.remove()
        assert not folder.parent.exists()
        assert not list((tmp_path / "work").iterdir())


def test_a_secret_is_hidden_in_what_is_logged() -> None:
    from skep_adapters.process.private_files import PrivateFile  # noqa: PLC0415  # beside what it is about

    assert "hidden" not in repr(PrivateFile("secrets", FileTarget(name="k"), b"hidden"))


def test_the_python_of_the_tests_is_the_one_of_the_supervisor() -> None:
    assert Path(sys.executable).exists()
    assert ContainerSpec().secrets == ()
