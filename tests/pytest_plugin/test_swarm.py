"""The swarm of a test, asked by Docker's SDK: what can be done to it, and what its time does."""

import asyncio
import http.client
import socket
import time
from typing import Any

import pytest
import skep
from docker.errors import APIError, NotFound
from docker.types import RestartPolicy, ServiceMode, UpdateConfig
from skep_adapters.pytest_plugin.options import OptionError
from skep_adapters.pytest_plugin.swarm import Swarm

THREE = ServiceMode("replicated", replicas=3)


def begin(client: Any, skep_swarm: Swarm, **options: Any) -> Any:
    web = client.services.create("app:1", name="web", mode=THREE, **options)
    skep_swarm.settle()
    return web


def states(service: Any) -> list[str]:
    return sorted(task["Status"]["State"] for task in service.tasks())


def node_called(client: Any, name: str) -> Any:
    return next(node for node in client.nodes.list() if node.attrs["Description"]["Hostname"] == name)


# --- one swarm a test


@pytest.mark.parametrize("_time", [1, 2])
def test_a_swarm_is_new_in_every_test(client: Any, skep_swarm: Swarm, _time: int) -> None:
    assert client.services.list() == []
    begin(client, skep_swarm)


def test_a_swarm_has_one_node_unless_the_marker_says_more(client: Any) -> None:
    assert len(client.nodes.list()) == 1


@pytest.mark.skep(nodes=7)
class TestMarked:
    def test_the_marker_of_a_class_is_that_of_its_tests(self, client: Any) -> None:
        ready = [node.attrs["Status"]["State"] for node in client.nodes.list()]
        assert ready == ["ready"] * 7

    @pytest.mark.skep(nodes=2)
    def test_the_nearer_marker_counts(self, client: Any) -> None:
        assert len(client.nodes.list()) == 2


@pytest.mark.skep(init=False)
def test_without_init_the_test_begins_the_swarm(client: Any, skep_swarm: Swarm) -> None:
    assert client.info()["Swarm"]["LocalNodeState"] == "inactive"
    client.swarm.init()
    begin(client, skep_swarm)
    assert client.swarm.leave(force=True)
    client.swarm.init()
    assert states(begin(client, skep_swarm)) == ["running"] * 3
    skep_swarm.fail("web.1")


def test_the_cluster_is_asked_from_the_thread_of_the_test(client: Any, skep_swarm: Swarm) -> None:
    begin(client, skep_swarm)
    [web] = skep_swarm.ask(lambda cluster: cluster.services.list())
    assert web.spec.name == "web"
    with pytest.raises(skep.Rejected, match="db not found"):
        skep_swarm.ask(lambda cluster: cluster.services.get("db"))


# --- time


def monitored(client: Any, image: str) -> float:
    """Update a service and wait as a program does that knows of no test; return how long that took."""
    web = client.services.get("web")
    began = time.monotonic()
    web.update(image=image)
    while True:
        web.reload()
        if web.attrs.get("UpdateStatus", {}).get("State") in ("completed", "rollback_completed"):
            return time.monotonic() - began
        assert time.monotonic() - began < 20
        time.sleep(0.01)


def test_monitors_and_delays_of_updates_pass_at_once(client: Any, skep_swarm: Swarm) -> None:
    minute = 60 * 10**9
    begin(client, skep_swarm, update_config=UpdateConfig(parallelism=1, delay=minute, monitor=minute))
    assert monitored(client, "app:2") < 10
    web = client.services.get("web")
    status = web.attrs["UpdateStatus"]
    assert (status["State"], states(web).count("running")) == ("completed", 3)
    assert status["StartedAt"][:16] != status["CompletedAt"][:16]


def test_an_update_that_fails_rolls_back(client: Any, skep_swarm: Swarm) -> None:
    begin(client, skep_swarm, update_config=UpdateConfig(failure_action="rollback"))
    skep_swarm.behave("app:2", run_s=2.0, exit_code=3)
    assert monitored(client, "app:2") < 10
    web = client.services.get("web")
    assert web.attrs["UpdateStatus"]["State"] == "rollback_completed"
    assert web.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"] == "app:1"
    assert "task: non-zero exit (3)" in [task["Status"].get("Err") for task in web.tasks()]


def test_a_swarm_at_rest_does_not_hurry(client: Any, skep_swarm: Swarm) -> None:
    begin(client, skep_swarm)
    first = skep_swarm.ask(_now)
    time.sleep(0.1)
    assert skep_swarm.ask(_now) - first < 5 * 10**9


@pytest.mark.skep(time="real")
def test_in_real_time_only_advance_lets_time_pass(client: Any, skep_swarm: Swarm) -> None:
    web = begin(client, skep_swarm, restart_policy=RestartPolicy("any", delay=3600 * 10**9))
    skep_swarm.fail("web.1")
    skep_swarm.advance(3590)
    assert states(web) == ["failed", "ready", "running", "running"]
    skep_swarm.advance(11)
    assert states(web) == ["failed", "running", "running", "running"]


def test_a_swarm_that_never_rests_says_why(client: Any, skep_swarm: Swarm) -> None:
    skep_swarm.behave("app:1", run_s=0.0, exit_code=9)
    client.services.create("app:1", name="web")
    with pytest.raises(skep.TimedOut, match=r"web runs 0 of 1 tasks"):
        skep_swarm.settle(timeout_s=30)


def test_a_connection_survives_the_time_that_flies_by(skep_swarm: Swarm) -> None:
    connection = http.client.HTTPConnection("skep")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.auto_open = 0
    connection.sock.connect(skep_swarm.host.removeprefix("unix://"))
    try:
        skep_swarm.advance(3600)
        for _ in range(2):
            connection.request("GET", "/_ping")
            assert connection.getresponse().read() == b"OK"
            skep_swarm.advance(3600)
    finally:
        connection.close()


async def _now(cluster: skep.Cluster) -> int:
    return cluster.clock.now()


# --- faults


def test_a_task_fails_as_it_is_told_and_is_replaced(client: Any, skep_swarm: Swarm) -> None:
    web = begin(client, skep_swarm)
    skep_swarm.fail("web.2", exit_code=3, message="out of cheese")
    [failed] = [task for task in web.tasks() if task["Status"]["State"] == "failed"]
    assert failed["Slot"] == 2
    assert (failed["Status"]["Err"], failed["Status"]["ContainerStatus"]["ExitCode"]) == ("out of cheese", 3)
    skep_swarm.settle()
    assert states(web) == ["failed", "running", "running", "running"]


def test_what_the_sdk_gives_for_a_task_names_it(client: Any, skep_swarm: Swarm) -> None:
    web = begin(client, skep_swarm)
    first = web.tasks()[0]
    skep_swarm.fail(first)
    with pytest.raises(LookupError, match=f"no task '{first['ID']}' runs: it is failed"):
        skep_swarm.fail(first["ID"])
    with pytest.raises(LookupError, match=r"no task 'web\.9' runs: there is none"):
        skep_swarm.fail("web.9")
    with pytest.raises(TypeError):
        skep_swarm.fail(9)


@pytest.mark.skep(nodes=3)
def test_a_node_that_is_cut_off_is_down_and_comes_back(client: Any, skep_swarm: Swarm) -> None:
    web = begin(client, skep_swarm)
    skep_swarm.cut("node2")
    skep_swarm.settle()
    node = node_called(client, "node2")
    assert node.attrs["Status"]["State"] == "down"
    wanted = [task for task in web.tasks() if task["DesiredState"] == "running"]
    assert len(wanted) == 3
    assert node.id not in [task["NodeID"] for task in wanted]
    skep_swarm.mend(node)
    skep_swarm.settle()
    node.reload()
    assert node.attrs["Status"]["State"] == "ready"
    with pytest.raises(LookupError, match="no node 'node9': there are node1, node2, node3"):
        skep_swarm.cut("node9")


@pytest.mark.skep(time="real")
def test_pulls_are_as_slow_as_they_are_told(client: Any, skep_swarm: Swarm) -> None:
    skep_swarm.slow_pulls(60)
    web = client.services.create("app:1", name="web")
    skep_swarm.advance(59)
    assert states(web) == ["preparing"]
    skep_swarm.advance(2)
    assert states(web) == ["running"]
    skep_swarm.slow_pulls(0)
    db = client.services.create("app:1", name="db")
    skep_swarm.settle()
    assert states(db) == ["running"]


def test_while_the_disk_is_full_commands_are_refused_and_nothing_is_lost(client: Any, skep_swarm: Swarm) -> None:
    web = begin(client, skep_swarm)
    skep_swarm.full_disk()
    for _ in range(3):
        with pytest.raises(APIError) as refused:
            client.services.create("app:1", name="db")
        assert refused.value.status_code == 503
    assert states(web) == ["running"] * 3
    skep_swarm.free_disk()
    with pytest.raises(NotFound):
        client.services.get("db")
    client.services.create("app:1", name="db")
    skep_swarm.settle()
    assert states(web) == ["running"] * 3


def test_a_misspelt_behaviour_is_told(skep_swarm: Swarm) -> None:
    with pytest.raises(OptionError, match="a task has no 'exit' to behave by: there are pull_s"):
        skep_swarm.behave("app:1", exit=1)


# --- processes


@pytest.mark.skep(executor="process", images={"sleeper": ["sleep", "3600"]})
def test_processes_run_and_fail_and_come_back(client: Any, skep_swarm: Swarm) -> None:
    web = client.services.create("sleeper", name="web")
    skep_swarm.settle()
    [task] = web.tasks()
    assert task["Status"]["ContainerStatus"]["PID"] > 0
    skep_swarm.fail(task, exit_code=7)
    skep_swarm.advance(6)
    skep_swarm.settle()
    assert states(web) == ["failed", "running"]


# --- coroutines


async def serve(task: skep.TaskContext) -> None:
    task.print("here is", task.service)
    await asyncio.Event().wait()


@pytest.mark.skep(images={"worker": serve})
def test_coroutines_run_and_fail_and_come_back(client: Any, skep_swarm: Swarm) -> None:
    web = client.services.create("worker", name="web")
    skep_swarm.settle()
    skep_swarm.fail("web.1", message="out of cheese")
    skep_swarm.settle()
    assert states(web) == ["failed", "running"]
    assert b"here is web" in b"".join(web.logs(stdout=True))
