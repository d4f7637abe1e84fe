"""What is run: catalogue, command and arguments, environment, users, limits; and what is refused."""

# ruff: noqa: ASYNC240  # a test may look at the disk by itself

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from process_harness import running, shell, task_of
from skep.model.container import (
    ContainerSpec,
    CredentialSpec,
    DnsConfig,
    Driver,
    HealthConfig,
    Privileges,
    Ulimit,
)
from skep.model.service import Limits, ResourceRequirements, TaskSpec
from skep.ports.executor import TaskFailed, TaskRejected
from skep_adapters.process.catalog import Catalog, CatalogError, Image
from skep_adapters.process.recipe import fields_without_effect, write_recipe

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change users")

CATALOG = Catalog(
    {
        "web": ("python3", "-m", "http.server"),
        "db:16": Image(entrypoint=("/entry",), command=("serve", "--fast")),
        "r.io:5000/x/tool": Image(entrypoint=("tool",), env={"A": "1", "B": "2"}, dir="/tmp", stop_signal="INT"),  # noqa: S108  # only a name
    }
)


@pytest.mark.parametrize(
    ("spec", "argv"),
    [
        (ContainerSpec(image="web"), ("python3", "-m", "http.server")),
        (ContainerSpec(image="web:3"), ("python3", "-m", "http.server")),
        (ContainerSpec(image="web:3@sha256:00"), ("python3", "-m", "http.server")),
        (ContainerSpec(image="db:16@sha256:00"), ("/entry", "serve", "--fast")),
        (ContainerSpec(image="db:16", args=("check",)), ("/entry", "check")),
        (ContainerSpec(image="db:16", command=("sh",)), ("sh",)),
        (ContainerSpec(image="db:16", command=("sh",), args=("-c", "x")), ("sh", "-c", "x")),
        (ContainerSpec(image="r.io:5000/x/tool:1", args=("go",)), ("tool", "go")),
        (ContainerSpec(image="alpine", args=("sh", "-c", "x")), ("sh", "-c", "x")),
        (ContainerSpec(image="alpine", command=("sleep",), args=("1",)), ("sleep", "1")),
    ],
)
def test_a_command_is_made_of_spec_and_catalogue_as_docker_does(spec: ContainerSpec, argv: tuple[str, ...]) -> None:
    assert write_recipe(task_of(spec), CATALOG).argv == argv


@pytest.mark.parametrize("image", ["alpine", "db:15", "r.io:5000/x", ""])
def test_an_unknown_image_without_a_command_is_rejected_with_what_to_do(image: str) -> None:
    with pytest.raises(TaskRejected, match=f"^No such image: {image}: .*--catalog FILE.* or give the service a comm"):
        write_recipe(task_of(ContainerSpec(image=image)), CATALOG)


def test_the_environment_is_the_images_then_the_specs() -> None:
    spec = ContainerSpec(image="r.io:5000/x/tool", env=("B=3", "C=a=b", "A"))
    recipe = write_recipe(task_of(spec, slot=4), CATALOG)
    assert "A" not in recipe.env
    assert recipe.env["B"] == "3"
    assert recipe.env["C"] == "a=b"
    assert recipe.env["SKEP_TASK_SLOT"] == "4"
    assert recipe.env["HOSTNAME"] == "host-1"
    assert recipe.dir == "/tmp"  # noqa: S108  # the catalogue's
    assert recipe.stop_signal == 2


def test_the_slot_of_a_task_without_one_is_its_node() -> None:
    assert write_recipe(task_of(shell("true"), slot=-1), CATALOG).env["SKEP_TASK_SLOT"] == "node-1"


async def test_hostname_and_environment_reach_the_task(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        spec = shell('echo "$HOSTNAME $HOME $A $SKEP_SERVICE_NAME"', hostname="web-1", env=("A=ü",))
        assert (await cluster.output(spec)).split() == ["web-1", os.path.expanduser("~"), "ü", "web"]  # noqa: PTH111  # as the user's entry says it


async def test_nothing_of_the_agents_environment_reaches_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTS_OWN", "1")
    async with running(tmp_path) as cluster:
        out = await cluster.output(ContainerSpec(command=("env",)))
        names = {line.partition("=")[0] for line in out.splitlines()}
        assert names == {
            *("PATH", "HOSTNAME", "HOME"),
            *("SKEP_TASK_ID", "SKEP_TASK_NAME", "SKEP_TASK_SLOT", "SKEP_SERVICE_NAME", "SKEP_NODE_ID"),
        }


async def test_a_task_has_nothing_open_but_its_three_files_and_default_signals(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        script = "ls -1 /proc/self/fd; readlink /proc/$$/fd/0; grep -E 'Sig(Ign|Blk)' /proc/self/status; umask"
        out = (await cluster.output(shell(script))).split()
        assert out == ["0", "1", "2", "3", "/dev/null", "SigBlk:", "0" * 16, "SigIgn:", "0" * 16, "0022"]


#: Runs a program with signals ignored and blocked that only the kernel itself lets one ignore and block.
_IGNORING = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
ignore, blocked = (ctypes.c_ulong * 4)(1), (ctypes.c_ulong * 1)(7 << 31)
for number in (32, 33, 34):
    assert libc.syscall(13, number, ignore, None, 8) == 0
assert libc.syscall(14, 2, blocked, None, 8) == 0
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
"""

_PROGRAM = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from process_harness import running, shell

async def main():
    async with running(Path(sys.argv[1])) as cluster:
        print(await cluster.output(shell("grep -E 'Sig(Ign|Blk)' /proc/self/status")))

asyncio.run(main())
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the test knows the numbers of system calls of x86_64")
def test_a_task_has_default_signals_whoever_started_its_agent(tmp_path: Path) -> None:
    """Also those that the C library keeps for itself, which timers and threads of a parent may have left ignored."""
    words = [sys.executable, "-c", _IGNORING, _PROGRAM, str(tmp_path / "state"), str(Path(__file__).parent)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16], ran.stderr


async def test_without_a_directory_a_task_has_an_empty_one_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("pwd; ls -A; touch x"))
        await controller.wait()
        folder = Path(cluster.lines.text(controller.task_id).strip())
        assert (folder / "x").exists()
        await controller.remove()
        assert not folder.exists()
        assert await cluster.output(shell("pwd", dir="/usr")) == "/usr\n"


@AS_ROOT
@pytest.mark.parametrize(
    ("user", "groups", "ids"),
    [
        ("nobody", (), "65534 65534 65534"),
        ("65534", (), "65534 65534 65534"),
        ("12345", (), "12345 12345 12345"),
        ("12345:7", (), "12345 7 7"),
        ("nobody:daemon", (), "65534 1 1"),
        ("nobody", ("daemon", "77"), "65534 65534 65534 1 77"),
    ],
)
async def test_a_task_runs_as_its_user(tmp_path: Path, user: str, groups: tuple[str, ...], ids: str) -> None:
    async with running(tmp_path) as cluster:
        spec = shell('echo "$(id -u) $(id -g) $(id -G)"; touch mine', user=user, groups=groups)
        assert (await cluster.output(spec)).strip() == ids


async def test_ulimits_and_no_new_privileges_are_applied(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        spec = shell(
            "ulimit -n; grep NoNewPrivs /proc/self/status",
            ulimits=(Ulimit(name="nofile", soft=123, hard=200),),
            privileges=Privileges(no_new_privileges=True),
        )
        assert (await cluster.output(spec)).split() == ["123", "NoNewPrivs:", "1"]
        with pytest.raises(TaskRejected, match="invalid ulimit type: bogus"):
            await cluster.controller(shell("true", ulimits=(Ulimit(name="bogus"),))).prepare()


def test_what_is_left_undone_is_named() -> None:
    spec = ContainerSpec(command=("x",), tty=True, read_only=True)
    assert write_recipe(task_of(spec), CATALOG).ignored == ("TTY", "ReadOnly")


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (TaskSpec(container_spec=ContainerSpec(init=True)), "Init"),
        (TaskSpec(container_spec=ContainerSpec(isolation="hyperv")), "Isolation"),
        (TaskSpec(container_spec=ContainerSpec(tty=True)), "TTY"),
        (TaskSpec(container_spec=ContainerSpec(hosts=("1.2.3.4 a",))), "Hosts"),
        (TaskSpec(container_spec=ContainerSpec(capability_drop=("ALL",))), "CapabilityDrop"),
        (TaskSpec(container_spec=ContainerSpec(dns_config=DnsConfig(nameservers=("1.1.1.1",)))), "DNSConfig"),
        (
            TaskSpec(container_spec=ContainerSpec(privileges=Privileges(credential_spec=CredentialSpec(file="f")))),
            "Privileges.CredentialSpec",
        ),
        (TaskSpec(resources=ResourceRequirements(limits=Limits(memory_bytes=1))), "Resources.Limits.MemoryBytes"),
        (TaskSpec(resources=ResourceRequirements(limits=Limits(nano_cpus=1))), "Resources.Limits.NanoCPUs"),
        (TaskSpec(resources=ResourceRequirements(limits=Limits(pids=1))), "Resources.Limits.Pids"),
        (TaskSpec(resources=ResourceRequirements(memory_swappiness=0)), "Resources.MemorySwappiness"),
        (TaskSpec(log_driver=Driver(name="syslog")), "LogDriver"),
        (TaskSpec(log_driver=Driver(name="json-file", options={"max-size": "1m"})), "LogDriver"),
    ],
)
def test_every_field_without_effect_is_named(task: TaskSpec, name: str) -> None:
    assert list(fields_without_effect(task)) == [name]


def test_what_the_docker_client_sends_unasked_is_no_field_without_effect() -> None:
    container = ContainerSpec(
        dns_config=DnsConfig(), init=False, isolation="default", healthcheck=HealthConfig(test=("NONE",))
    )
    resources = ResourceRequirements(limits=Limits())
    assert not list(fields_without_effect(TaskSpec(container, resources=resources, log_driver=Driver("local"))))


async def test_a_long_list_of_arguments_is_handed_over_whole(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        words = tuple("x" * 100_000 for _ in range(8))
        spec = ContainerSpec(command=("/bin/sh", "-c", 'echo "$#" "${#8}"', "sh", *words))
        assert await cluster.output(spec) == "8 100000\n"
        with pytest.raises(TaskFailed, match="argument list too long"):
            await cluster.started(ContainerSpec(command=("/bin/echo", "x" * 300_000)))


def test_a_catalogue_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(
        '[images.web]\ncommand = ["serve"]\nenv = { A = "1" }\ndir = "/srv"\n'
        '[images."nginx:1.25"]\nentrypoint = ["nginx"]\ncommand = ["-g", "daemon off;"]\n'
    )
    catalog = Catalog.load(path)
    assert catalog.names() == ["nginx:1.25", "web"]
    assert catalog.find("web:latest") == Image(command=("serve",), env={"A": "1"}, dir="/srv")
    assert catalog.find("nginx:1.25@sha256:ab") == Image(entrypoint=("nginx",), command=("-g", "daemon off;"))
    assert catalog.find("nginx") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[images.web", "at the end of a table declaration"),
        ("[web]", "web: unknown key"),
        ('{"images": {"web": {"command": ["x"]}}}', r"this is JSON, and it must be TOML, \[images\.NAME\] tables"),
        ("images = 3", "images = 3: must be tables"),
        ("[images]\nweb = 3", "images.web = 3: must be a table"),
        ('[images.web]\ncomand = ["x"]', "images.web.comand: unknown key; known are entrypoint, command"),
        ('[images.web]\ncommand = "x y"', "images.web.command = 'x y': must be a list of strings"),
        ("[images.web]\ncommand = [1]", r"images.web.command = \[1\]: must be a list of strings"),
        ('[images.web]\ncommand = ["x"]\nenv = { A = 1 }', "images.web.env.A = 1: must be a string"),
        ('[images.web]\ncommand = ["x"]\ndir = 1', "images.web.dir = 1: must be a string"),
        ("[images.web]", "images.web: has neither entrypoint nor command"),
    ],
)
def test_a_bad_catalogue_is_told_with_file_key_and_value(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    with pytest.raises(CatalogError, match=words) as failed:
        Catalog.load(path)
    assert str(path) in str(failed.value)


def test_a_catalogue_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"nope\.toml: No such file"):
        Catalog.load(tmp_path / "nope.toml")


def test_the_catalogue_of_the_guide_is_one_and_the_guide_names_every_key(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "catalogue.md").read_text()
    (text,) = re.findall(r"^```toml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    catalog = Catalog.load(path)
    assert catalog.names() == ["greeter:2", "web"]
    greeter = ContainerSpec(image="greeter:2", args=("bees",))
    assert write_recipe(task_of(greeter), catalog).argv == ("echo", "hello", "bees")
    assert re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE) == [*Image.__struct_fields__]
