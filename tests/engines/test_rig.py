"""The rig itself, proved without skep: engines of a swarm whose manager is dockerd."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import PATIENCE_S, eventually
from tests.engines import images
from tests.engines.engine import Engine
from tests.engines.machine import Machine, groups, sweep
from tests.engines.rig import Rig
from tests.engines.surroundings import lacks

ROOT = Path(__file__).parents[2]

#: A manager of dockerd calls a node down after this many seconds without a word from it.
FAST = ("--dispatcher-heartbeat", "1s")


@pytest.fixture
def swarm(rig: Rig) -> list[Engine]:
    """Two engines: the first is the manager of the second."""
    first, second = rig.engines(2)
    first.docker("swarm", "init", "--advertise-addr", first.address)
    first.docker("swarm", "update", *FAST)
    token = first.docker("swarm", "join-token", "--quiet", "worker").strip()
    second.docker("swarm", "join", "--token", token, f"{first.address}:2377")
    return [first, second]


def running(manager: Engine, service: str) -> list[dict[str, Any]]:
    rows = manager.rows("service", "ps", service, "--filter", "desired-state=running")
    return [row for row in rows if row["CurrentState"].startswith("Running")]


def state(manager: Engine, engine: Engine) -> str:
    return next(str(row["Status"]) for row in manager.rows("node", "ls") if row["Hostname"] == engine.machine.name)


def container(engine: Engine, service: str) -> str:
    return engine.docker("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={service}").split()[0]


def health(engine: Engine, name: str) -> str:
    return str(engine.show("inspect", name)["State"]["Health"]["Status"])


def test_two_engines_run_a_service_of_two_replicas(swarm: list[Engine]) -> None:
    first, second = swarm
    assert {row["Hostname"]: row["Status"] for row in first.rows("node", "ls")} == {
        "host-1": "Ready",
        "host-2": "Ready",
    }
    first.docker("service", "create", "--detach", "--name", "web", "--replicas", "2", "app:v1")
    eventually(lambda: len(running(first, "web")) == 2, "both replicas run")
    assert {row["Node"] for row in running(first, "web")} == {"host-1", "host-2"}
    assert "app v1 on" in second.docker("logs", container(second, "web"))


def test_containers_on_two_engines_reach_each_other_over_an_overlay(swarm: list[Engine], machine: Machine) -> None:
    if lacking := [each for each in lacks(machine) if "VXLAN" in each]:
        pytest.skip(lacking[0])
    first, second = swarm
    first.docker("network", "create", "--driver", "overlay", "--subnet", "10.50.0.0/24", "inside")
    words = ("--network", "inside", "--endpoint-mode", "dnsrr", "--mode", "global", "app:v2")
    first.docker("service", "create", "--detach", "--name", "web", *words)
    eventually(lambda: len(running(first, "web")) == 2, "one runs on each engine")
    there = second.show("inspect", container(second, "web"))["NetworkSettings"]["Networks"]["inside"]["IPAddress"]
    inside = ("exec", container(first, "web"))
    eventually(lambda: first.client(*inside, "ping", "-c", "1", "-W", "1", there).returncode == 0, "it is reached")
    assert first.docker(*inside, "wget", "-qO-", f"http://{there}/version") == "app v2\n"
    assert there in first.docker(*inside, "nslookup", "web")


def test_an_engine_that_was_killed_is_down_and_comes_back(swarm: list[Engine]) -> None:
    first, second = swarm
    first.docker("service", "create", "--detach", "--name", "web", "--replicas", "2", "app:v1")
    eventually(lambda: len(running(first, "web")) == 2, "both replicas run")
    second.kill()
    eventually(lambda: state(first, second) == "Down", "the killed one is down")
    eventually(lambda: [row["Node"] for row in running(first, "web")] == ["host-1"] * 2, "its replica runs elsewhere")
    second.start()
    eventually(lambda: state(first, second) == "Ready", "it is back")


def test_an_engine_that_is_cut_off_is_down_until_its_link_is_repaired(rig: Rig, swarm: list[Engine]) -> None:
    first, second = swarm
    rig.lan.cut(second.machine)
    eventually(lambda: state(first, second) == "Down", "the one cut off is down")
    assert second.running
    rig.lan.repair(second.machine)
    eventually(lambda: state(first, second) == "Ready", "it is back")


def test_an_engine_that_is_stopped_ends_its_containers(rig: Rig) -> None:
    engine = rig.engine("host")
    engine.docker("run", "--detach", "--name", "alone", "app:v1")
    engine.stop()
    assert engine.machine.processes() == []
    engine.start()
    assert not engine.show("inspect", "alone")["State"]["Running"]


def test_a_health_check_of_a_dockerfile_finds_a_container_that_hangs(rig: Rig) -> None:
    engine = rig.engine("host")
    engine.docker("run", "--detach", "--name", "checked", "checked:v1")
    eventually(lambda: health(engine, "checked") == "healthy", "it is well")
    engine.docker("exec", "checked", "touch", "/hung")
    eventually(lambda: health(engine, "checked") == "unhealthy", "it is not well")


def test_an_image_that_fails_fails(rig: Rig) -> None:
    engine = rig.engine("host")
    assert "cannot go on" in engine.docker("run", "--rm", "fails:v1", code=3)


def test_an_image_goes_through_the_registry_from_one_engine_to_another(rig: Rig) -> None:
    first, second = rig.engines(2)
    images.load_registry(first)
    first.docker("run", "--detach", "--name", "registry", "--publish", "5000:5000", "registry:2")
    name = f"{first.address}:5000/shop:v1"
    first.docker("tag", "app:v1", name)
    eventually(lambda: first.client("push", name).returncode == 0, "it is pushed")
    second.docker("pull", name)
    assert "app v1" in second.docker("run", "--rm", name, "cat", "/www/version")


def test_engines_are_new_and_have_the_images_but_nothing_else(rig: Rig) -> None:
    first, second = rig.engines(2)
    assert first.show("info")["ID"] != second.show("info")["ID"]
    for engine in (first, second):
        found = {f"{row['Repository']}:{row['Tag']}" for row in engine.rows("image", "ls")}
        assert found == {"app:v1", "app:v2", "fails:v1", "checked:v1"}
        assert {row["Name"] for row in engine.rows("network", "ls")} == {"bridge", "host", "none"}
        assert engine.rows("ps", "--all") == engine.rows("volume", "ls") == []
    assert [machine.run("ls", "/srv/docker/containers") for machine in (first.machine, second.machine)] == ["", ""]


def test_machines_have_files_of_their_own(rig: Rig) -> None:
    first, second = rig.machine("first"), rig.machine("second")
    for folder in ("/run", "/srv", "/etc", "/opt"):
        first.file(f"{folder}/skep-was-here").write_text("so it is\n")
        assert first.run("cat", f"{folder}/skep-was-here") == "so it is\n"
        assert not second.file(f"{folder}/skep-was-here").exists()
        assert not Path(f"{folder}/skep-was-here").exists()


def test_a_machine_reaches_its_network_and_nothing_else(rig: Rig) -> None:
    host, guest = rig.machine("host"), rig.machine("guest")
    assert "1 packets received" in guest.run("busybox", "ping", "-c", "1", host.address)
    assert "unreachable" in guest.run("busybox", "ping", "-c", "1", "-W", "1", "192.0.2.1", code=1)
    assert guest.run("hostname") == "guest\n"


def test_a_machine_that_was_cut_off_reaches_nobody(rig: Rig) -> None:
    host, guest = rig.machine("host"), rig.machine("guest")
    ping = ("busybox", "ping", "-c", "1", "-W", "1", host.address)
    rig.lan.cut(guest)
    assert "100% packet loss" in guest.run(*ping, code=1)
    rig.lan.repair(guest)
    eventually(lambda: "1 packets received" in guest.run(*ping, code=None), "it reaches it again")


def test_what_the_kernel_lacks_is_said_in_words(machine: Machine) -> None:
    assert all(each.startswith("no ") for each in lacks(machine))
    assert lacks(machine) == lacks(machine)


BRIEF = """
import sys, time
from pathlib import Path
from tests.engines import images
from tests.engines.rig import Rig

with Rig(Path(sys.argv[1])) as rig:
    engine = rig.engine("host")
    images.load(engine)
    engine.docker("run", "--detach", "--name", "app", "app:v1")
    netns = engine.show("inspect", "app")["NetworkSettings"]["SandboxKey"]
    pids = (each.pid for each in engine.machine.processes())
    print(engine.machine.cgroup, netns, rig.switch.pid, *pids, flush=True)
    if sys.argv[2] == "dies":
        time.sleep(600)
"""


@pytest.mark.parametrize("end", ["ends", "dies"])
def test_nothing_is_left_of_engines_when_their_tests_end_or_die(able: None, tmp_path: Path, end: str) -> None:
    del able
    words = [sys.executable, "-c", BRIEF, str(tmp_path), end]
    brief = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert brief.stdout is not None
        cgroup, netns, *pids = brief.stdout.readline().split()
        assert len(pids) >= 4  # the switch, dockerd, containerd, and what holds the container
        assert groups(cgroup)
        if end == "ends":
            brief.wait(PATIENCE_S)
    finally:
        brief.kill()
        brief.communicate()
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "every process of them has ended")
    assert "/srv/docker" not in Path("/proc/self/mounts").read_text()
    assert not Path(netns).exists()
    if end == "dies":
        eventually(lambda: _swept(cgroup), "the next run removes its control groups")
    assert groups(cgroup) == []


def _swept(cgroup: str) -> bool:
    sweep()
    return not groups(cgroup)
