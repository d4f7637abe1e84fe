"""Nodes, with the real docker client: what is drained, paused, labelled and struck, and what becomes of the tasks."""

import re

import pytest

from tests.acceptance.daemon import TICKING, Daemon, eventually

pytestmark = [pytest.mark.usefixtures("docker"), pytest.mark.timeout(600)]

#: A registry is asked nothing, and the client does not look on.
QUIET = ("--no-resolve-image", "--detach")

#: Of all that restarts a task, only the eviction is meant here.
SOON = ("--restart-delay", "200ms")


@pytest.fixture
def swarm(daemon: Daemon) -> Daemon:
    """A daemon of five nodes in which somebody typed `docker swarm init`."""
    daemon.start("--nodes", "5")
    daemon.docker("swarm", "init")
    eventually(lambda: [row["Status"] for row in daemon.rows("node", "ls")] == ["Ready"] * 5, "all are ready")
    return daemon


def create(swarm: Daemon, name: str, *words: str) -> None:
    swarm.docker("service", "create", *QUIET, *SOON, "--name", name, *words, "alpine", *TICKING)


def running(swarm: Daemon, name: str) -> dict[str, list[str]]:
    """Return the ids of the tasks that run and are wanted to, by node."""
    found: dict[str, list[str]] = {}
    for row in swarm.rows("service", "ps", "--no-trunc", "--filter", "desired-state=running", name):
        if row["CurrentState"].startswith("Running"):
            found.setdefault(row["Node"], []).append(row["ID"])
    return found


def count(swarm: Daemon, name: str) -> int:
    return sum(len(ids) for ids in running(swarm, name).values())


def processes(swarm: Daemon) -> set[str]:
    return {process.task_id for process in swarm.tasks()}


def test_a_drained_node_is_emptied_and_gets_nothing_until_it_is_active_again(swarm: Daemon) -> None:
    create(swarm, "web", "--replicas", "5")
    eventually(lambda: count(swarm, "web") == 5, "it runs")
    (gone,) = running(swarm, "web")["node3"]

    swarm.docker("node", "update", "--availability", "drain", "node3")
    eventually(lambda: count(swarm, "web") == 5 and "node3" not in running(swarm, "web"), "its task moved")
    eventually(lambda: gone not in processes(swarm), "it really stopped")
    (row,) = swarm.rows("node", "ls", "--filter", "name=node3")
    assert (row["Status"], row["Availability"]) == ("Ready", "Drain")
    (row,) = swarm.rows("node", "ps", "node3")
    assert row["DesiredState"] == "Shutdown"
    assert row["CurrentState"].startswith("Shutdown")

    swarm.docker("node", "update", "--availability", "active", "node3")
    swarm.docker("service", "scale", "--detach", "web=6")
    eventually(lambda: count(swarm, "web") == 6, "there is one more")
    assert len(running(swarm, "web")["node3"]) == 1, "what it is given is new, and nothing moved back"


def test_what_starts_first_is_handed_over_when_its_node_is_drained(swarm: Daemon) -> None:
    create(swarm, "web", "--replicas", "1", "--update-order", "start-first")
    eventually(lambda: count(swarm, "web") == 1, "it runs")
    ((node, (old,)),) = running(swarm, "web").items()
    others = [f"node{number}" for number in range(1, 6) if f"node{number}" != node]

    for other in others:
        swarm.docker("node", "update", "--availability", "pause", other)
    swarm.docker("node", "update", "--availability", "drain", node)
    reason = "no suitable node (5 nodes not available for new tasks)"
    eventually(lambda: reason in swarm.docker("service", "ps", "--no-trunc", "web"), "nobody can take it over")
    assert old in processes(swarm), "so it goes on"
    swarm.docker("node", "update", "--availability", "active", others[0])
    eventually(lambda: list(running(swarm, "web")) == [others[0]], "it was handed over")
    eventually(lambda: old not in processes(swarm), "and stopped then")


def test_a_paused_node_keeps_what_it_has_and_gets_nothing_new(swarm: Daemon) -> None:
    create(swarm, "web", "--replicas", "5")
    eventually(lambda: count(swarm, "web") == 5, "it runs")
    before = running(swarm, "web")["node2"]
    swarm.docker("node", "update", "--availability", "pause", "node2")
    swarm.docker("service", "scale", "--detach", "web=9")
    eventually(lambda: count(swarm, "web") == 9, "there are more")
    assert running(swarm, "web")["node2"] == before
    assert sorted(len(ids) for ids in running(swarm, "web").values()) == [1, 2, 2, 2, 2]


def test_a_task_waits_for_a_label_and_says_so_and_is_evicted_when_it_goes(swarm: Daemon) -> None:
    create(swarm, "db", "--constraint", "node.labels.disk==ssd")
    reason = "no suitable node (scheduling constraints not satisfied on 5 nodes)"
    eventually(lambda: reason in swarm.docker("service", "ps", "--no-trunc", "db"), "it says why it waits")
    assert re.search(r"db\.1 .* Running +Pending", swarm.docker("service", "ps", "db"))

    swarm.docker("node", "update", "--label-add", "disk=ssd", "node4")
    eventually(lambda: list(running(swarm, "db")) == ["node4"], "it is placed at once")
    (old,) = running(swarm, "db")["node4"]

    swarm.docker("node", "update", "--label-add", "disk=ssd", "node5")
    swarm.docker("node", "update", "--label-rm", "disk", "node4")
    eventually(lambda: list(running(swarm, "db")) == ["node5"], "it moved")
    (row,) = [row for row in swarm.rows("service", "ps", "--no-trunc", "db") if row["ID"] == old]
    assert row["CurrentState"].startswith("Rejected")
    assert row["Error"] == '"assigned node no longer meets constraints"'
    eventually(lambda: old not in processes(swarm), "the evicted one really stopped")

    swarm.docker("node", "update", "--label-add", "disk=ssd", "node4")
    eventually(lambda: swarm.rows("node", "ls", "--filter", "node.label=disk=ssd"), "both have it")
    assert list(running(swarm, "db")) == ["node5"], "nothing moves back"


def test_a_node_is_removed_by_force_only_while_it_is_up_and_its_tasks_are_orphaned(swarm: Daemon) -> None:
    create(swarm, "web", "--replicas", "5")
    eventually(lambda: count(swarm, "web") == 5, "it runs")
    (node,) = swarm.rows("node", "ls", "--filter", "name=node5")
    (old,) = running(swarm, "web")["node5"]
    said = swarm.docker("node", "rm", "node5", code=1)
    assert f"node {node['ID']} is not down and can't be removed" in said
    said = swarm.docker("node", "rm", "--force", "node1", code=1)
    assert (
        "is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal" in said
    )

    assert swarm.docker("node", "rm", "--force", "node5") == "node5\n"
    assert len(swarm.rows("node", "ls")) == 4
    orphan = swarm.get(f"/tasks/{old}")["Status"]
    assert (orphan["State"], orphan["Message"]) == ("orphaned", "Task belonged to a node that has been deleted")
    eventually(lambda: count(swarm, "web") == 5, "another one took over")
    assert "node5" not in running(swarm, "web")
    eventually(lambda: old not in processes(swarm), "the node's agent stopped it")
