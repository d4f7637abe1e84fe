"""Rolling updates and rollbacks as they were recorded on a real swarm (scenario 43), typed on five nodes."""

import json
import re
from typing import Any

import pytest

from tests.acceptance.daemon import Daemon, eventually

pytestmark = [pytest.mark.usefixtures("docker"), pytest.mark.timeout(600)]

#: A registry is asked nothing, and nobody is looked on for longer than needed.
QUICK = ("--no-resolve-image", "--update-monitor", "300ms", "--rollback-monitor", "300ms", "--restart-delay", "1s")

SLEEP = ("alpine", "sleep", "1000")
FAILS = ("--no-resolve-image", "--args", "sh -c 'exit 1'")


@pytest.fixture
def swarm(daemon: Daemon) -> Daemon:
    """A daemon of five nodes in which somebody typed `docker swarm init`."""
    daemon.start("--nodes", "5")
    daemon.docker("swarm", "init")
    eventually(lambda: [row["Status"] for row in daemon.rows("node", "ls")] == ["Ready"] * 5, "all are ready")
    return daemon


def inspected(swarm: Daemon, name: str) -> dict[str, Any]:
    (service,) = json.loads(swarm.docker("service", "inspect", name))
    assert isinstance(service, dict)
    return service


def state(swarm: Daemon, name: str) -> str:
    return str(inspected(swarm, name).get("UpdateStatus", {}).get("State"))


def create(swarm: Daemon, name: str, *flags: str, replicas: int = 3) -> None:
    swarm.docker("service", "create", "--name", name, "--replicas", str(replicas), *QUICK, *flags, *SLEEP)


def test_a_service_is_scaled_to_ten_and_spread_over_five_nodes(swarm: Daemon) -> None:
    create(swarm, "web", replicas=2)
    assert "verify: Service web converged" in swarm.docker("service", "scale", "web=10")
    rows = swarm.rows("service", "ps", "web")
    assert sorted(row["Node"] for row in rows) == sorted(["node1", "node2", "node3", "node4", "node5"] * 2)
    assert sorted(int(row["Name"].partition(".")[2]) for row in rows) == list(range(1, 11))


def test_stop_first_and_start_first_replace_every_task_once(swarm: Daemon) -> None:
    for name in ("stop-first", "start-first"):
        create(swarm, name, "--update-order", name, "--update-delay", "300ms")
        first = {row["ID"] for row in swarm.rows("service", "ps", name)}
        said = swarm.docker("service", "update", "--no-resolve-image", "--env-add", "A=1", name)
        assert f"verify: Service {name} converged" in said
        rows = swarm.rows("service", "ps", name)
        assert len(rows) == 6
        assert {row["ID"] for row in rows if row["DesiredState"] == "Shutdown"} == first
        service = inspected(swarm, name)
        assert service["UpdateStatus"]["State"] == "completed"
        assert service["UpdateStatus"]["Message"] == "update completed"
        assert service["UpdateStatus"]["CompletedAt"] > service["UpdateStatus"]["StartedAt"]
        assert "Env" not in service["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]


def test_a_failing_update_pauses_and_a_later_one_resumes(swarm: Daemon) -> None:
    create(swarm, "web", "--update-failure-action", "pause")
    said = swarm.docker("service", "update", *FAILS, "web", code=1)
    assert re.search(
        r"service update paused: update paused due to failure or early termination of task [a-z0-9]{25}", said
    )
    status = inspected(swarm, "web")["UpdateStatus"]
    assert (status["State"], "CompletedAt" in status) == ("paused", False)
    pretty = swarm.docker("service", "inspect", "--pretty", "web")
    assert " State:\t\tpaused" in pretty
    rows = swarm.rows("service", "ps", "--no-trunc", "web")
    assert any(row["Error"] == '"task: non-zero exit (1)"' for row in rows)
    swarm.docker("service", "update", "--detach", "--no-resolve-image", "--args", "sleep 2000", "web")
    eventually(lambda: state(swarm, "web") == "completed", "the newest spec is everywhere")
    arguments = inspected(swarm, "web")["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"]
    assert arguments == ["sleep", "2000"]
    assert swarm.rows("service", "ls")[0]["Replicas"] == "3/3"


def test_continue_goes_on_and_ends_completed(swarm: Daemon) -> None:
    create(swarm, "web", "--update-failure-action", "continue")
    swarm.docker("service", "update", "--detach", *FAILS, "web")
    eventually(lambda: state(swarm, "web") == "completed", "it ends though all fail")


def test_a_failing_update_rolls_itself_back_and_leaves_no_previous_spec(swarm: Daemon) -> None:
    create(swarm, "web", "--update-failure-action", "rollback")
    assert swarm.docker("service", "update", *FAILS, "web")
    eventually(lambda: state(swarm, "web") == "rollback_completed", "it is as it was")
    service = inspected(swarm, "web")
    assert service["UpdateStatus"]["Message"] == "rollback completed"
    assert service["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"] == ["sleep", "1000"]
    assert "PreviousSpec" not in service
    refused = swarm.docker("service", "rollback", "web", code=1)
    assert f"service {service['ID']} does not have a previous spec" in refused


def test_some_may_fail_as_the_ratio_says(swarm: Daemon) -> None:
    create(swarm, "web", "--update-max-failure-ratio", "0.5", "--update-failure-action", "pause")
    swarm.docker("service", "update", "--detach", *FAILS, "web")
    eventually(lambda: state(swarm, "web") == "paused", "two of three are too many")
    failed = {row["Name"] for row in swarm.rows("service", "ps", "web") if row["CurrentState"].startswith("Failed")}
    assert len(failed) >= 2


def test_an_update_in_the_middle_of_one_and_a_rollback_twice(swarm: Daemon) -> None:
    create(swarm, "mid", "--update-delay", "1s", replicas=4)
    swarm.docker("service", "update", "--detach", "--no-resolve-image", "--env-add", "A=1", "mid")
    eventually(lambda: state(swarm, "mid") == "updating", "the first goes on")
    begun = inspected(swarm, "mid")["UpdateStatus"]["StartedAt"]
    swarm.docker("service", "update", "--detach", "--no-resolve-image", "--env-add", "A=2", "mid")
    eventually(lambda: state(swarm, "mid") == "completed", "the second is through")
    assert inspected(swarm, "mid")["UpdateStatus"]["StartedAt"] > begun

    # by hand, twice: undone and redone
    for wanted in (["A=1"], ["A=2"]):
        assert "verify: Service mid converged" in swarm.docker("service", "rollback", "mid")
        service = inspected(swarm, "mid")
        assert service["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == wanted
        assert service["UpdateStatus"]["State"] == "rollback_completed"

    # what touches no task clears the status and replaces nothing
    tasks = {row["ID"] for row in swarm.rows("service", "ps", "mid")}
    for change in (("--label-add", "a=b"), ("--update-delay", "0s"), ("--constraint-add", "node.hostname!=none")):
        swarm.docker("service", "update", "--detach", "--no-resolve-image", *change, "mid")
        assert "UpdateStatus" not in inspected(swarm, "mid")
    assert {row["ID"] for row in swarm.rows("service", "ps", "mid")} == tasks
