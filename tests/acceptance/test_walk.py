"""A user walks through a swarm with the real docker client, and everything does what its words say."""

import json
import re
from datetime import datetime

import pytest

from tests.acceptance.daemon import TICKING, Daemon, eventually

pytestmark = [pytest.mark.usefixtures("docker"), pytest.mark.timeout(900)]

#: So that an attached client does not look on for the five seconds that are the default.
SHORT = ("--update-monitor", "200ms", "--rollback-monitor", "200ms")

#: A registry is asked nothing.
QUIET = ("--no-resolve-image",)

LOOPING = "while true; do sleep 1; done"


@pytest.fixture
def swarm(daemon: Daemon) -> Daemon:
    """A daemon of two nodes in which somebody typed `docker swarm init`."""
    daemon.start("--nodes", "2")
    daemon.docker("swarm", "init")
    eventually(lambda: [row["Status"] for row in daemon.rows("node", "ls")] == ["Ready"] * 2, "both are ready")
    return daemon


def running(swarm: Daemon, name: str) -> list[dict[str, str]]:
    """Return the rows of the tasks that run and are wanted to."""
    rows = swarm.rows("service", "ps", "--no-trunc", "--filter", "desired-state=running", name)
    return [row for row in rows if row["CurrentState"].startswith("Running")]


def test_a_service_is_created_looked_at_scaled_updated_rolled_back_and_removed(daemon: Daemon) -> None:
    daemon.start("--nodes", "2")
    said = daemon.docker("swarm", "init")
    assert re.search(r"Swarm initialized: current node \([a-z0-9]{25}\) is now a manager", said)
    assert re.search(r"docker swarm join --token SWMTKN-1-[a-z0-9]{50}-[a-z0-9]{25} [0-9.]+:[0-9]+", said)
    rows = daemon.rows("node", "ls")
    assert [(row["Hostname"], row["Availability"], row["ManagerStatus"]) for row in rows] == [
        ("node1", "Active", "Leader"),
        ("node2", "Active", ""),
    ]

    # nothing but the default: the client looks on for five seconds, and its word is that all is well
    said = daemon.docker("service", "create", "--name", "web", "--replicas", "3", "--env", "A=1", "alpine", *TICKING)
    assert "overall progress: 3 out of 3 tasks" in said
    assert said.splitlines()[-1].startswith("verify: Service ")
    assert said.splitlines()[-1].endswith(" converged")

    (row,) = daemon.rows("service", "ls")
    assert (row["Name"], row["Mode"], row["Replicas"], row["Image"]) == ("web", "replicated", "3/3", "alpine:latest")
    rows = running(daemon, "web")
    assert sorted(row["Name"] for row in rows) == ["web.1", "web.2", "web.3"]
    assert {row["Node"] for row in rows} == {"node1", "node2"}
    assert {row["ID"] for row in rows} == {process.task_id for process in daemon.tasks()}
    pretty = daemon.docker("service", "inspect", "--pretty", "web")
    for part in ("Name:\t\tweb", " Replicas:\t3", " Image:\t\talpine:latest", " Env:\t\tA=1", "Args:\t\tsh -c while"):
        assert part in pretty

    daemon.docker("service", "update", "--detach", *QUIET, *SHORT, "web")
    assert "verify: Service web converged" in daemon.docker("service", "scale", "web=5")
    assert daemon.rows("service", "ls")[0]["Replicas"] == "5/5"
    untouched = {row["ID"] for row in rows}
    assert untouched < {row["ID"] for row in running(daemon, "web")}

    tock = TICKING[2].replace("tick", "tock")
    said = daemon.docker("service", "update", *QUIET, "--args", f"sh -c '{tock}'", "web")
    assert "verify: Service web converged" in said
    updated = {row["ID"] for row in running(daemon, "web")}
    assert len(updated) == 5
    assert not updated & untouched
    spec = json.loads(daemon.docker("service", "inspect", "web"))[0]
    assert spec["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"] == ["sh", "-c", tock]
    assert spec["UpdateStatus"]["State"] == "completed"
    eventually(lambda: "| tock" in daemon.docker("service", "logs", "--tail", "1", "web"), "the new ones print")

    said = daemon.docker("service", "rollback", "web")
    assert "verify: Service web converged" in said
    spec = json.loads(daemon.docker("service", "inspect", "web"))[0]
    assert spec["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"] == list(TICKING)
    assert spec["UpdateStatus"]["State"] == "rollback_completed"
    rows = daemon.rows("service", "ps", "web")
    assert len(rows) == 15  # each slot shows what it has, and the two before that
    assert sum(row["DesiredState"] == "Shutdown" for row in rows) == 10

    assert daemon.docker("service", "rm", "web") == "web\n"
    assert daemon.rows("service", "ls") == []
    assert "no such service: web" in daemon.docker("service", "ps", "web", code=1)
    eventually(lambda: not daemon.tasks(), "no process is left")
    eventually(lambda: daemon.get("/tasks") == [], "no task is left")


def test_what_tasks_print_is_shown_followed_and_cut(swarm: Daemon) -> None:
    swarm.docker("service", "create", "--detach", *QUIET, "--name", "web", "--replicas", "2", "alpine", *TICKING)

    def lines(*words: str) -> list[str]:
        return swarm.docker("service", "logs", *words, "web").splitlines()

    eventually(lambda: len(lines()) >= 6, "they print")
    assert all(re.fullmatch(r"web\.[12]\.[a-z0-9]{12}@node[12] +\| tick", line) for line in lines())
    assert len(lines("--tail", "2")) == 4  # of each task
    stamps = [line.split()[0] for line in lines("--timestamps")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp) for stamp in stamps)
    since = stamps[3]
    later = [line.split()[0] for line in lines("--timestamps", "--since", since)]
    assert later
    assert min(later) >= since
    assert len(later) >= len([stamp for stamp in stamps if stamp >= since])
    assert datetime.fromisoformat(since[:26]) > datetime.fromisoformat(min(stamps)[:26])

    with swarm.following("service", "logs", "--follow", "--raw", "--tail", "1", "web") as following:
        eventually(lambda: following.shown.count("tick\n") >= 6, "what is new is told")
        following.interrupt()
    assert set(following.shown.split()) == {"tick"}
    swarm.docker("service", "rm", "web")


def test_a_service_reads_its_secrets_and_configs(swarm: Daemon) -> None:
    swarm.docker("secret", "create", "door", "-", stdin="open sesame")
    swarm.docker("config", "create", "page", "-", stdin="<p>hello</p>")
    assert [row["Name"] for row in swarm.rows("secret", "ls")] == ["door"]
    assert [row["Name"] for row in swarm.rows("config", "ls")] == ["page"]
    assert "open sesame" not in swarm.docker("secret", "inspect", "door")
    script = 'cat "$SKEP_SECRETS_DIR/door" "$SKEP_CONFIGS_DIR/index.html"; echo; ' + LOOPING
    given = ("--secret", "door", "--config", "source=page,target=/srv/index.html", *SHORT)
    said = swarm.docker("service", "create", *QUIET, "--name", "reader", *given, "alpine", "sh", "-c", script)
    assert "converged" in said
    shown = eventually(lambda: swarm.docker("service", "logs", "--raw", "reader"), "it prints them")
    assert shown == "open sesame<p>hello</p>\n"
    for kind, name in (("secret", "door"), ("config", "page")):
        assert "is in use by the following service: reader" in swarm.docker(kind, "rm", name, code=1)
    swarm.docker("service", "rm", "reader")
    for kind, name in (("secret", "door"), ("config", "page")):
        assert swarm.docker(kind, "rm", name) == f"{name}\n"
        assert swarm.rows(kind, "ls") == []


def test_somebody_who_follows_events_sees_what_is_created_updated_and_removed(swarm: Daemon) -> None:
    shape = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
    with swarm.following("events", "--format", shape) as following:

        def heard() -> bool:
            """Say whether it listens by now, which only an event can tell."""
            swarm.docker("config", "rm", swarm.docker("config", "create", "probe", "-", stdin="x").strip())
            return bool(following.shown)

        eventually(heard, "it listens")
        swarm.docker("service", "create", "--detach", *QUIET, "--name", "web", "alpine", "sleep", "1000")
        swarm.docker("service", "update", "--detach", *QUIET, "--label-add", "a=1", "web")
        swarm.docker("secret", "create", "door", "-", stdin="x")
        swarm.docker("secret", "rm", "door")
        swarm.docker("node", "update", "--label-add", "zone=a", "node2")
        swarm.docker("service", "rm", "web")
        wanted = (
            *("service create web", "service update web", "secret create door", "secret remove door"),
            *("node update node2", "service remove web"),
        )
        eventually(lambda: "service remove web\n" in following.shown, "it hears of the last")
        following.interrupt()
    shown = [line for line in following.shown.splitlines() if "probe" not in line]
    assert tuple(dict.fromkeys(shown)) == wanted


def test_a_drained_node_loses_its_tasks_and_a_label_lets_a_waiting_one_run(swarm: Daemon) -> None:
    replicas = ("--replicas", "4")
    swarm.docker("service", "create", *QUIET, *SHORT, "--name", "web", *replicas, "alpine", "sleep", "1000")
    assert {row["Node"] for row in running(swarm, "web")} == {"node1", "node2"}
    swarm.docker("node", "update", "--availability", "drain", "node2")
    assert swarm.rows("node", "ls")[1]["Availability"] == "Drain"
    eventually(lambda: [row["Node"] for row in running(swarm, "web")] == ["node1"] * 4, "all of them run on the other")
    eventually(lambda: len(swarm.tasks()) == 4, "no process is left on it")

    constraint = ("--constraint", "node.labels.disk==ssd")
    swarm.docker("service", "create", "--detach", *QUIET, "--name", "picky", *constraint, "alpine", "sleep", "1000")
    swarm.docker("node", "update", "--availability", "active", "node2")

    def why() -> str:
        (row,) = swarm.rows("service", "ps", "--no-trunc", "picky")
        return row["Error"] if row["CurrentState"].startswith("Pending") else ""

    eventually(lambda: "scheduling constraints not satisfied on 2 nodes" in why(), "it says why it waits")
    swarm.docker("node", "update", "--label-add", "disk=ssd", "node2")
    eventually(lambda: [row["Node"] for row in running(swarm, "picky")] == ["node2"], "it runs where it fits")
    swarm.docker("service", "rm", "web", "picky")
    eventually(lambda: not swarm.tasks(), "no process is left")


def test_a_swarm_is_left_by_force_only_and_the_next_begins_a_log_of_its_own(swarm: Daemon) -> None:
    swarm.docker("service", "create", "--detach", *QUIET, "--name", "old", "--replicas", "2", "alpine", *TICKING)
    eventually(lambda: swarm.converged("old"), "it runs")
    assert "Use `--force`" in swarm.docker("swarm", "leave", code=1)
    assert [row["Name"] for row in swarm.rows("service", "ls")] == ["old"]

    assert swarm.docker("swarm", "leave", "--force") == "Node left the swarm.\n"
    assert "This node is not a swarm manager" in swarm.docker("service", "ls", code=1)
    eventually(lambda: not swarm.tasks(), "no process is left")
    kept = swarm.log(1).read_bytes()

    swarm.docker("swarm", "init")
    assert swarm.rows("service", "ls") == []
    swarm.docker("service", "create", "--detach", *QUIET, "--name", "new", "alpine", "sleep", "1000")
    eventually(lambda: swarm.converged("new"), "it runs")
    assert swarm.log(1).read_bytes() == kept
    swarm.stop()
    assert swarm.log(1).read_bytes() == kept
    said = swarm.verify().splitlines()
    assert [line.partition(":")[0] for line in said] == ["swarm 000001", "swarm 000002"]
    assert all(line.endswith("all of it holds") for line in said)

    swarm.start("--nodes", "2")
    assert swarm.greeting.startswith("recovered swarm ")
    assert [row["Name"] for row in swarm.rows("service", "ls")] == ["new"]
