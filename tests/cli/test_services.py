"""What `skep` says and does about services that docker cannot: outcomes, any earlier spec, spreading anew."""

import pytest
from skep_adapters.cli.client import ask

from tests.cli.conftest import Daemon, eventually, refusal, skep

pytestmark = pytest.mark.usefixtures("docker")


@pytest.fixture
def host(daemon: Daemon) -> str:
    daemon.start("--executor", "simulated", "--nodes", "2")
    daemon.docker("swarm", "init")
    return f"unix://{daemon.socket}"


def create(daemon: Daemon, replicas: int = 1) -> None:
    daemon.docker("service", "create", "--detach", "--name", "web", "--replicas", str(replicas), "v1")
    eventually(lambda: daemon.runs("web", f"{replicas}/{replicas}"), "it runs")


def update(daemon: Daemon, host: str, image: str, spec: int) -> None:
    daemon.docker("service", "update", "--detach", "--update-monitor", "10ms", "--image", image, "web")
    eventually(lambda: ended(host, spec), "the update ended")


def ended(host: str, spec: int) -> bool:
    return any(
        outcome["Spec"] == spec for outcome in ask(host, "GET", "skep", "services", "web", "updates")["Outcomes"]
    )


def images(daemon: Daemon) -> str:
    return daemon.docker("service", "inspect", "web", "--format", "{{.Spec.TaskTemplate.ContainerSpec.Image}}").strip()


def test_a_service_goes_back_to_any_of_its_specs_and_its_outcomes_are_shown(daemon: Daemon, host: str) -> None:
    create(daemon)
    update(daemon, host, "v2", 2)
    update(daemon, host, "v3", 3)
    done = skep("rollback", "service", "web", "--to", 1, "-H", host)
    assert (done.returncode, done.stdout) == (0, "web goes back to spec 1\n"), done
    assert images(daemon) == "v1:latest"
    eventually(lambda: ended(host, 4), "the rollback ended")
    head, *rows, foot = skep("updates", "web", "-H", host).stdout.splitlines()
    assert head.split() == ["SPEC", "KIND", "STATE", "ENDED", "TASKS", "FAILED", "CHANGED", "WHY"]
    assert [(row.split()[0], row.split()[1], row.split()[2]) for row in rows] == [
        ("2", "update", "completed"),
        ("3", "update", "completed"),
        ("4", "rollback", "completed"),
    ]
    assert foot == "web is at spec 4"


def test_a_service_is_spread_anew_and_only_when_asked(daemon: Daemon, host: str) -> None:
    daemon.docker("node", "update", "--availability", "drain", "node2")
    create(daemon, replicas=4)
    daemon.docker("node", "update", "--availability", "active", "node2")

    def on(node: str) -> int:
        wanted = daemon.docker("service", "ps", "web", "--filter", "desired-state=running", "--format", "{{.Node}}")
        return wanted.split().count(node)

    assert (on("node1"), on("node2")) == (4, 0)
    done = skep("rebalance", "web", "--budget", 3, "-H", host)
    assert (done.returncode, done.stdout) == (0, "web is spread anew; at most 3 of its tasks move\n"), done
    eventually(lambda: (on("node1"), on("node2")) == (2, 2), "the tasks are spread evenly")


def test_what_cannot_be_is_refused_in_a_sentence(daemon: Daemon, host: str) -> None:
    create(daemon)
    assert refusal(skep("rollback", "service", "web", "--to", 2, "-H", host)).endswith(
        "service web has no spec 2: its newest is 1"
    )
    assert refusal(skep("rebalance", "web", "--budget", 0, "-H", host)).endswith(
        "budget must be a whole number from 1, not '0'"
    )
    assert refusal(skep("updates", "nothing", "-H", host)).endswith("service nothing not found")
    assert "must be unix://PATH" in refusal(skep("updates", "web", "-H", "ssh://127.0.0.1:1"))
    assert "no daemon answers there" in refusal(skep("updates", "web", "-H", "tcp://127.0.0.1:1"))
    gone = refusal(skep("updates", "web", "-H", f"unix://{daemon.home}/nothing.sock"))
    assert gone.endswith("no daemon answers there: No such file or directory")


def test_outcomes_are_told_with_their_positions_in_the_log(daemon: Daemon, host: str) -> None:
    create(daemon)
    update(daemon, host, "v2", 2)
    (outcome,) = ask(host, "GET", "skep", "services", "web", "updates")["Outcomes"]
    assert (outcome["Spec"], outcome["State"], outcome["Made"]) == (2, "completed", 1)
    assert outcome["Changed"] == ["TaskTemplate.ContainerSpec.Image", "UpdateConfig"]
    assert outcome["Positions"]["Spec"] < outcome["Positions"]["Began"] < outcome["Positions"]["Ended"]
