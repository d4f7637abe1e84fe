"""Stories of a daemon, told with the real docker client."""

import json
import os
import signal

import pytest
from skep_adapters.cli.stopping import FORCED

from tests.cli.conftest import TICKING, Daemon, eventually

pytestmark = pytest.mark.usefixtures("docker")


def test_a_swarm_from_its_first_day_to_an_orderly_end(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.greeting == (
        f"new: no swarm in {daemon.data} yet\nexport DOCKER_HOST=unix://{daemon.socket}\ndocker swarm init\n"
    )
    assert "is now a manager" in daemon.docker("swarm", "init")
    (node,) = daemon.rows("node", "ls")
    assert (node["Hostname"], node["ManagerStatus"]) == (os.uname().nodename, "Leader")
    eventually(lambda: daemon.rows("node", "ls")[0]["Status"] == "Ready", "the node is ready")

    daemon.create("web", *TICKING)
    eventually(lambda: daemon.runs("web", "3/3"), "three replicas run")
    tasks = daemon.rows("service", "ps", "web")
    assert sorted(task["Name"] for task in tasks) == ["web.1", "web.2", "web.3"]
    eventually(lambda: daemon.docker("service", "logs", "web").count("| tick") >= 3, "each has printed")
    assert len(set(daemon.tasks().values())) == 3

    assert daemon.end(signal.SIGTERM) == 0
    assert not daemon.tasks()
    assert not daemon.socket.exists()


def test_an_orderly_end_gives_tasks_their_stop_signal_and_a_second_interrupt_ends_at_once(daemon: Daemon) -> None:
    script = f"trap 'echo $SKEP_TASK_SLOT >> {daemon.home}/last; exit 0' TERM; while :; do sleep 0.1; done"
    daemon.start()
    daemon.docker("swarm", "init")
    daemon.create("tidy", "sh", "-c", script)
    eventually(lambda: daemon.runs("tidy", "3/3") and len(set(daemon.tasks().values())) == 3, "three replicas run")
    assert daemon.end(signal.SIGTERM) == 0
    assert sorted((daemon.home / "last").read_text().split()) == ["1", "2", "3"]

    daemon.start()
    daemon.docker("service", "rm", "tidy")
    daemon.create("stubborn", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", replicas=1)
    eventually(lambda: daemon.runs("stubborn", "1/1"), "it runs")
    daemon.process.send_signal(signal.SIGINT)
    eventually(
        lambda: any(entry["event"] == "daemon.stopping" and entry["signal"] == "SIGINT" for entry in daemon.told()),
        "it stops",
    )
    assert daemon.end(signal.SIGINT) == FORCED


def test_after_a_kill_the_services_come_back_and_lost_tasks_are_replaced(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    daemon.create("web", *TICKING)
    eventually(lambda: daemon.runs("web", "3/3"), "three replicas run")
    old = set(daemon.tasks().values())
    assert daemon.end(signal.SIGKILL) == -signal.SIGKILL

    daemon.start()
    found, _, hint = daemon.greeting.splitlines()
    assert found.startswith("recovered swarm ")
    assert hint == "docker node ls"
    eventually(lambda: daemon.runs("web", "3/3") and len(set(daemon.tasks().values()) - old) == 3, "three new ones run")
    assert not old & set(daemon.tasks().values())
    states = {task["ID"]: task["CurrentState"].split()[0] for task in daemon.rows("service", "ps", "--no-trunc", "web")}
    assert {states[task_id] for task_id in old} == {"Failed"}
    assert sorted(states.values()) == ["Failed"] * 3 + ["Running"] * 3

    assert daemon.end(signal.SIGINT) == 0
    assert not daemon.tasks()


def test_a_swarm_that_was_left_keeps_its_log_and_the_next_begins_a_new_one(daemon: Daemon) -> None:
    daemon.start("--executor", "simulated")
    daemon.docker("swarm", "init")
    daemon.create("old", "anything")
    daemon.docker("swarm", "leave", "--force")
    assert "not a swarm manager" in daemon.docker("service", "ls", check=False)
    kept = daemon.log(1).read_bytes()

    daemon.docker("swarm", "init")
    assert daemon.rows("service", "ls") == []
    daemon.create("new", "anything")
    assert daemon.end() == 0
    assert daemon.log(1).read_bytes() == kept

    daemon.start("--executor", "simulated")
    assert [row["Name"] for row in daemon.rows("service", "ls")] == ["new"]


def test_nodes_of_one_process_are_a_manager_and_workers_that_stay_who_they_are(daemon: Daemon) -> None:
    daemon.start("--executor", "simulated", "--nodes", "3")
    daemon.docker("swarm", "init")
    eventually(lambda: [node["Status"] for node in daemon.rows("node", "ls")] == ["Ready"] * 3, "all are ready")
    nodes = {node["Hostname"]: node["ID"] for node in daemon.rows("node", "ls")}
    assert sorted(nodes) == ["node1", "node2", "node3"]
    assert json.loads(daemon.docker("node", "inspect", "node1"))[0]["Spec"]["Role"] == "manager"
    daemon.create("web", "anything", replicas=9)
    eventually(lambda: daemon.runs("web", "9/9"), "all replicas run")
    where = [task["Node"] for task in daemon.rows("service", "ps", "web")]
    assert {where.count(name) for name in nodes} == {3}
    assert daemon.end() == 0

    daemon.start("--executor", "simulated", "--nodes", "3")
    assert {node["Hostname"]: node["ID"] for node in daemon.rows("node", "ls")} == nodes


def test_who_asks_for_what_a_process_cannot_have_is_warned(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    options = ("--detach", "--no-resolve-image", "--read-only", "--init")
    said = daemon.docker("service", "create", *options, "--name", "web", "host", "sleep", "1000", check=False)
    assert [line.split()[0] for line in said.splitlines() if "has no effect" in line] == [
        "Init",
        "ReadOnly",
    ]
    said = daemon.docker("service", "update", "--detach", "--no-resolve-image", "--tty", "web", check=False)
    assert "TTY is kept, and has no effect" in said
    options = ("--detach", "--no-resolve-image", "--name", "plain", "host", "sleep", "1000")
    assert "no effect" not in daemon.docker("service", "create", *options, check=False)


def test_a_catalogue_says_what_an_image_runs_and_every_socket_answers(daemon: Daemon) -> None:
    catalogue = daemon.home / "catalog.toml"
    catalogue.write_text(
        '[images.greeter]\ncommand = ["sh", "-c", "echo hello $WHO; sleep 1000"]\nenv = {WHO = "bee"}\n'
    )
    other = daemon.home / "other.sock"
    daemon.start("--catalog", str(catalogue), "-H", f"unix://{daemon.socket}", "-H", f"unix://{other}")
    daemon.docker("swarm", "init")
    variable = ("--env", f"SKEP_TEST_HOME={daemon.home}")
    daemon.docker("service", "create", "--detach", "--no-resolve-image", "--name", "g", *variable, "greeter")
    eventually(lambda: "hello bee" in daemon.docker("service", "logs", "g"), "the greeter greets")
    daemon.socket = other
    assert daemon.runs("g", "1/1")
