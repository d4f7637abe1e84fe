"""What containers are given, and what is looked at of them: secrets, configs, directories, health, lines."""

import pytest

from tests.acceptance.daemon import eventually
from tests.engines.engine import Engine
from tests.engines.swarm import Begin, Swarm, containers, everywhere, inside

pytestmark = pytest.mark.timeout(300)

#: Where an engine may put what it is told; the machine's alone.
KEPT = ("/srv/docker", "/run")


def kept(engine: Engine, word: str) -> list[str]:
    """Return the files of an engine's machine that hold a word."""
    found = engine.machine.run(
        "grep", "--recursive", "--devices=skip", "--files-with-matches", "-s", word, *KEPT, code=None
    )
    return found.split()


def failures(swarm: Swarm, name: str) -> list[str]:
    return [row["Error"].strip('"') for row in swarm.tasks(name) if row["Error"]]


def test_secrets_and_configs_are_files_in_the_container_and_are_gone_with_it(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    engine = swarm.workers[0]
    swarm.docker("secret", "create", "old", "-", stdin="first-secret-word")
    swarm.docker("secret", "create", "new", "-", stdin="second-secret-word")
    swarm.docker("config", "create", "settings", "-", stdin="a-config-word\n")
    swarm.docker("config", "create", "--template-driver", "golang", "where", "-", stdin="of {{.Service.Name}}")
    secret = ("--secret", "old", "--secret", "source=new,target=/etc/key,mode=0400,uid=7,gid=8")
    config = ("--config", "source=settings,target=/etc/settings", "--config", "where")
    swarm.create("web", *secret, *config, "app:v1")
    swarm.await_running("web", 1)
    assert inside(engine, "web", "cat", "/run/secrets/old", "/etc/key") == "first-secret-wordsecond-secret-word"
    assert inside(engine, "web", "stat", "-c", "%a %u %g", "/run/secrets/old", "/etc/key") == "444 0 0\n400 7 8\n"
    assert inside(engine, "web", "cat", "/etc/settings", "/where") == "a-config-word\nof web"
    assert kept(engine, "first-secret-word")  # in memory only, for as long as the container runs
    assert kept(engine, "a-config-word")

    assert "is in use" in swarm.docker("secret", "rm", "old", code=1)
    swarm.update("web", "--secret-rm", "old", "--config-rm", "settings")
    eventually(lambda: not kept(engine, "first-secret-word"), "the secret was withdrawn")
    swarm.await_running("web", 1)
    assert inside(engine, "web", "sh", "-c", "cat /etc/key; ls /run/secrets /etc/settings 2>/dev/null || true") == (
        "second-secret-word"
    )
    swarm.docker("secret", "rm", "old")
    swarm.docker("config", "rm", "settings")

    swarm.docker("service", "rm", "web")
    eventually(lambda: not engine.docker("ps", "--all", "--quiet"), "nothing is left of it")
    assert [kept(engine, word) for word in ("first-secret-word", "second-secret-word", "a-config-word")] == [[], [], []]


def test_a_database_runs_where_its_directory_is_and_is_rejected_where_it_is_not(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    data = ("--constraint", "node.labels.database==yes", "--mount", "type=bind,src=/srv/database,dst=/data")
    swarm.create("database", *data, "--restart-delay", "500ms", "app:v1")
    eventually(
        lambda: any("scheduling constraints not satisfied on 2 nodes" in each for each in failures(swarm, "database")),
        "it waits for a node",
    )
    swarm.docker("node", "update", "--label-add", "database=yes", second.machine.name)
    eventually(lambda: any("Rejected" in row["CurrentState"] for row in swarm.tasks("database")), "it is rejected")
    wrong = 'invalid mount config for type "bind": bind source path does not exist: /srv/database'
    eventually(lambda: wrong in failures(swarm, "database"), "it is said why")
    assert {row["Node"] for row in swarm.tasks("database") if row["Node"]} == {"host-2"}

    second.machine.run("mkdir", "/srv/database")
    assert swarm.await_running("database", 1)[0]["Node"] == "host-2"
    inside(second, "database", "touch", "/data/rows")
    assert second.machine.run("ls", "/srv/database") == "rows\n"

    # with the label it goes elsewhere, and what was written does not
    first.machine.run("mkdir", "/srv/database")
    swarm.docker("node", "update", "--label-add", "database=yes", first.machine.name)
    swarm.docker("node", "update", "--label-rm", "database", second.machine.name)
    eventually(lambda: [row["Node"] for row in swarm.running("database")] == ["host-1"], "it runs on the other one")
    assert inside(first, "database", "ls", "/data") == ""
    eventually(lambda: not containers(second, "database"), "it has ended where it was")


@pytest.mark.parametrize("check", ["dockerfile", "service"])
def test_a_container_that_hangs_is_replaced(swarm_of: Begin, check: str) -> None:
    swarm = swarm_of(1)
    engine = swarm.workers[0]
    of_service = ("--health-cmd", "test ! -e /hung", "--health-interval", "500ms", "--health-retries", "1", "app:v1")
    words = of_service if check == "service" else ("checked:v1",)
    # it does not heed SIGTERM either
    swarm.create("web", "--restart-delay", "100ms", "--stop-grace-period", "1s", *words, "sleep", "600")
    swarm.await_running("web", 1)
    hung = containers(engine, "web")
    assert engine.show("inspect", next(iter(hung)))["State"]["Health"]["Status"] == "healthy"
    inside(engine, "web", "touch", "/hung")
    eventually(
        lambda: "task: non-zero exit (137): dockerexec: unhealthy container" in failures(swarm, "web"),
        "it is found out",
    )
    swarm.await_running("web", 1)
    assert not hung.keys() & containers(engine, "web").keys()


def test_a_task_with_a_health_check_does_not_run_before_it_is_healthy(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    check = ("--health-cmd", "test -e /well", "--health-interval", "300ms", "--health-retries", "1000")
    swarm.create("web", *check, "app:v1")
    eventually(lambda: containers(swarm.workers[0], "web"), "its container runs")
    assert swarm.tasks("web")[0]["CurrentState"].startswith("Starting")
    inside(swarm.workers[0], "web", "touch", "/well")
    swarm.await_running("web", 1)


def test_the_lines_of_all_replicas_are_shown_with_where_they_come_from(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    swarm.create("web", "--replicas", "4", "--env", "A=b", "app:v1", "sh", "-c", "echo up; echo bad >&2; sleep 600")
    swarm.await_running("web", 4)
    lines = swarm.docker("service", "logs", "web").splitlines()
    shown = {tuple(word.strip() for word in line.split("|")) for line in lines}
    expected = {
        (f"{row['Name']}.{row['ID']}@{row['Node']}", word) for row in swarm.running("web") for word in ("up", "bad")
    }
    assert {(first.replace("...", ""), word) for first, word in shown} == {
        (f"{row['Name']}.{row['ID'][:12]}@{row['Node']}", word)
        for row in swarm.running("web")
        for word in ("up", "bad")
    }, (lines, expected)
    assert {row["Node"] for row in swarm.running("web")} == {"host-1", "host-2"}
    assert swarm.docker("service", "logs", "--raw", "--tail", "1", "web").count("\n") == 4
    one = swarm.running("web")[0]
    assert sorted(swarm.docker("service", "logs", "--raw", one["ID"]).split()) == ["bad", "up"]


def test_lines_are_followed_also_of_replicas_that_come_later(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    swarm.create("web", "app:v1", "sh", "-c", "while true; do echo from $HOSTNAME; sleep 0.3; done")
    swarm.await_running("web", 1)
    with swarm.skep.following("service", "logs", "--follow", "web") as followed:
        eventually(lambda: "web.1." in followed.shown, "the first one is shown")
        swarm.docker("service", "scale", "--detach", "web=3")
        eventually(lambda: "web.2." in followed.shown and "web.3." in followed.shown, "those that came later are too")
        followed.interrupt()
    eventually(lambda: len(everywhere(swarm.workers, "web")) == 3, "all run on")
