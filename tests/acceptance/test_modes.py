"""The four modes of services, typed as a user types them: one task on each node, and tasks that run to their end."""

import json

import pytest

from tests.acceptance.daemon import TICKING, Daemon, eventually

pytestmark = [pytest.mark.usefixtures("docker"), pytest.mark.timeout(900)]

#: So that an attached client does not look on for the five seconds that are the default.
SHORT = ("--update-monitor", "200ms", "--rollback-monitor", "200ms")

#: A registry is asked nothing.
QUIET = ("--no-resolve-image",)

SOON = ("sh", "-c", "sleep 0.2")

LONG = ("sh", "-c", "while true; do sleep 1; done")


@pytest.fixture
def swarm(daemon: Daemon) -> Daemon:
    """A daemon of three nodes in which somebody typed `docker swarm init`."""
    daemon.start("--nodes", "3")
    daemon.docker("swarm", "init")
    eventually(lambda: [row["Status"] for row in daemon.rows("node", "ls")] == ["Ready"] * 3, "all are ready")
    return daemon


def listed(swarm: Daemon, name: str) -> tuple[str, str]:
    """Return mode and replicas of a service as `service ls` shows them."""
    (row,) = [row for row in swarm.rows("service", "ls") if row["Name"] == name]
    return row["Mode"], row["Replicas"]


def running_on(swarm: Daemon, name: str) -> list[str]:
    rows = swarm.rows("service", "ps", "--filter", "desired-state=running", name)
    return sorted(row["Node"] for row in rows if row["CurrentState"].startswith("Running"))


def node_id(swarm: Daemon, hostname: str) -> str:
    return str(json.loads(swarm.docker("node", "inspect", hostname))[0]["ID"])


def test_a_global_service_has_one_task_on_each_node(swarm: Daemon) -> None:
    said = swarm.docker("service", "create", *QUIET, *SHORT, "--name", "agent", "--mode", "global", "alpine", *TICKING)
    assert "overall progress: 3 out of 3 tasks" in said
    assert said.splitlines()[-1].endswith(" converged")
    assert listed(swarm, "agent") == ("global", "3/3")
    rows = swarm.rows("service", "ps", "--no-trunc", "agent")
    assert {(row["Name"], row["Node"]) for row in rows} == {
        (f"agent.{node_id(swarm, node)}", node) for node in ("node1", "node2", "node3")
    }
    assert {row["ID"] for row in rows} == {process.task_id for process in swarm.tasks()}
    assert "scale can only be used with replicated" in swarm.docker("service", "scale", "agent=5", code=1)

    # a drained node has none, and gets its own back; a paused one keeps what it has
    swarm.docker("node", "update", "--availability", "drain", "node2")
    eventually(lambda: running_on(swarm, "agent") == ["node1", "node3"], "the drained one is empty")
    eventually(lambda: listed(swarm, "agent") == ("global", "2/2"), "fewer are wanted")
    swarm.docker("node", "update", "--availability", "active", "node2")
    eventually(lambda: listed(swarm, "agent") == ("global", "3/3"), "it is there again")
    swarm.docker("node", "update", "--availability", "pause", "node3")

    said = swarm.docker("service", "update", *QUIET, "--env-add", "A=2", "agent")
    assert said.splitlines()[-1].endswith(" converged")
    updated = {t["NodeID"] for t in swarm.get("/tasks") if t["Spec"]["ContainerSpec"].get("Env") == ["A=2"]}
    assert updated == {node_id(swarm, "node1"), node_id(swarm, "node2")}
    swarm.docker("node", "update", "--availability", "active", "node3")
    eventually(lambda: len(swarm.rows("service", "ps", "-f", "desired-state=shutdown", "agent")) == 4, "it follows")

    # nodes that do not fulfil the constraints have none
    swarm.docker("node", "update", "--label-add", "disk=ssd", "node1")
    swarm.docker("service", "update", "--detach", *QUIET, "--constraint-add", "node.labels.disk==ssd", "agent")
    eventually(lambda: running_on(swarm, "agent") == ["node1"], "one node has the label")
    swarm.docker("node", "update", "--label-add", "disk=ssd", "node2")
    eventually(lambda: running_on(swarm, "agent") == ["node1", "node2"], "two have it")
    swarm.docker("service", "rollback", "--detach", "agent")
    eventually(lambda: listed(swarm, "agent") == ("global", "3/3"), "there are no constraints any more")
    swarm.docker("service", "rm", "agent")
    eventually(lambda: swarm.get("/tasks") == [], "no task is left")


def test_a_replicated_job_runs_to_its_end_and_again_at_every_update(swarm: Daemon) -> None:
    words = ("--name", "job", "--mode", "replicated-job", "--replicas", "3", "--max-concurrent", "2")
    said = swarm.docker("service", "create", *QUIET, *words, "alpine", *SOON)
    assert "active tasks: 2 out of 2 tasks" in said
    assert said.splitlines()[-1] == "job complete"
    assert listed(swarm, "job") == ("replicated job", "0/2 (3/3 completed)")
    rows = swarm.rows("service", "ps", "--no-trunc", "job")
    (zeroth,) = [t for t in swarm.get("/tasks") if "Slot" not in t]
    assert sorted(row["Name"] for row in rows) == sorted(["job.1", "job.2", f"job.{zeroth['NodeID']}"])
    assert {row["DesiredState"] for row in rows} == {"Complete"}
    assert zeroth["JobIteration"] == {}
    (service,) = swarm.get("/services?status=true")
    assert service["JobStatus"]["JobIteration"] == {}
    assert service["ServiceStatus"] == {"RunningTasks": 0, "DesiredTasks": 2, "CompletedTasks": 3}

    assert swarm.docker("service", "scale", "job=2").splitlines()[-1] == "job complete"
    assert listed(swarm, "job") == ("replicated job", "0/2 (2/2 completed)")
    assert "replicas can only be used with replicated mode" in swarm.docker(
        "service", "update", "--replicas", "3", "job", code=1
    )
    swarm.docker("service", "update", "--detach", *QUIET, "--force", "job")
    eventually(lambda: listed(swarm, "job") == ("replicated job", "0/2 (2/2 completed)"), "it ran again")
    (service,) = swarm.get("/services")
    assert service["JobStatus"]["JobIteration"] == {"Index": 2}
    assert {t["JobIteration"].get("Index", 0) for t in swarm.get("/tasks")} == {0, 1, 2}

    swarm.docker("service", "rollback", "--detach", "job")
    (service,) = swarm.get("/services")
    assert service["JobStatus"]["JobIteration"] == {"Index": 3}
    assert service["UpdateStatus"]["State"] == "rollback_started"
    eventually(lambda: listed(swarm, "job") == ("replicated job", "0/2 (2/2 completed)"), "and again")
    swarm.docker("service", "rm", "job")
    eventually(lambda: swarm.get("/tasks") == [], "no task is left")


def test_a_job_that_is_updated_while_it_runs_stops_what_ran(swarm: Daemon) -> None:
    words = ("--name", "job", "--mode", "replicated-job", "--replicas", "2")
    swarm.docker("service", "create", "--detach", *QUIET, *words, "alpine", *LONG)
    eventually(lambda: listed(swarm, "job") == ("replicated job", "2/2 (0/2 completed)"), "it runs")
    before = {process.task_id for process in swarm.tasks()}
    swarm.docker("service", "update", "--detach", *QUIET, "--force", "job")
    eventually(
        # by task: each has a shell, and what that waits for
        lambda: len(swarm.get("/tasks")) == 2 and before.isdisjoint(each.task_id for each in swarm.tasks()),
        "the run before is removed",
    )
    assert not before & {task["ID"] for task in swarm.get("/tasks")}
    swarm.docker("service", "rm", "job")


def test_a_failing_job_is_tried_again_until_its_attempts_are_over(swarm: Daemon) -> None:
    words = ("--mode", "replicated-job", "--restart-delay", "0s", "--restart-max-attempts", "2")
    swarm.docker("service", "create", "--detach", *QUIET, "--name", "bad", *words, "alpine", "sh", "-c", "exit 4")
    eventually(lambda: len(swarm.get("/tasks")) == 3, "it was run three times")
    eventually(lambda: {t["Status"]["State"] for t in swarm.get("/tasks")} == {"failed"}, "each run failed")
    assert {t["DesiredState"] for t in swarm.get("/tasks")} == {"shutdown"}
    assert {t["Status"]["Err"] for t in swarm.get("/tasks")} == {"task: non-zero exit (4)"}
    assert listed(swarm, "bad") == ("replicated job", "0/1 (0/1 completed)")
    swarm.docker("service", "rm", "bad")


def test_a_global_job_runs_once_on_each_node_and_on_those_that_come_later(swarm: Daemon) -> None:
    swarm.docker("node", "update", "--availability", "drain", "node3")
    said = swarm.docker("service", "create", *QUIET, "--name", "once", "--mode", "global-job", "alpine", *SOON)
    assert said.splitlines()[-1] == "job complete"
    eventually(lambda: listed(swarm, "once") == ("global job", "0/0 (2/2 completed)"), "both ran")
    assert sorted(row["Node"] for row in swarm.rows("service", "ps", "once")) == ["node1", "node2"]
    swarm.docker("node", "update", "--availability", "active", "node3")
    eventually(lambda: listed(swarm, "once") == ("global job", "0/0 (3/3 completed)"), "the third ran")

    before = {task["ID"] for task in swarm.get("/tasks")}
    swarm.docker("service", "update", "--detach", *QUIET, "--force", "once")
    eventually(lambda: not before & {task["ID"] for task in swarm.get("/tasks")}, "what was before is removed")
    eventually(lambda: listed(swarm, "once") == ("global job", "0/0 (3/3 completed)"), "all ran again")
    swarm.docker("service", "rm", "once")


def test_what_no_job_may_have_is_refused(swarm: Daemon) -> None:
    said = swarm.docker(
        "service", "create", "-d", "--mode", "replicated-job", "--update-parallelism", "2", "alpine", code=1
    )
    assert "update and rollback configuration is not supported for jobs" in said
    swarm.docker("service", "create", "-d", *QUIET, "--name", "job", "--mode", "global-job", "alpine", *SOON)
    (service,) = swarm.get("/services")
    spec = service["Spec"] | {"UpdateConfig": {"Parallelism": 1}}
    answer = swarm.ask("POST", f"/services/{service['ID']}/update?version={service['Version']['Index']}", spec)
    assert (answer.status, answer.message) == (
        400,
        "rpc error: code = InvalidArgument desc = Jobs may not have an update config",
    )
    spec = service["Spec"] | {"Mode": {"Global": {}}}
    answer = swarm.ask("POST", f"/services/{service['ID']}/update?version={service['Version']['Index']}", spec)
    assert (answer.status, answer.message) == (
        501,
        "rpc error: code = Unimplemented desc = service mode change is not allowed",
    )
