"""Health checks of processes, driven by the real docker client."""

import re

import pytest

from tests.acceptance.daemon import Daemon, eventually

pytestmark = [pytest.mark.usefixtures("docker"), pytest.mark.timeout(300)]

#: Beats as long as it is well, and hangs where it was told to: no signal but KILL ends it then.
BEATING = "trap '' TERM; while [ ! -e $0/hang ]; do touch $0/beat; sleep 0.1; done; while :; do sleep 1; done"


def test_a_hung_task_is_replaced_by_its_health_check(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    probe = f"test -n \"$(find {daemon.home}/beat -newermt '-2 seconds')\""
    health = ("--health-cmd", probe, "--health-interval", "200ms", "--health-retries", "2", "--health-timeout", "5s")
    quick = ("--restart-delay", "100ms", "--stop-grace-period", "1s", "--no-resolve-image", "--detach")
    said = daemon.docker(
        "service", "create", "--name", "heart", *health, *quick, "alpine", "sh", "-c", BEATING, str(daemon.home)
    )
    assert "warning" not in said.lower()
    eventually(lambda: daemon.converged("heart"), "it is healthy")
    (first,) = daemon.rows("service", "ps", "heart")

    (daemon.home / "hang").touch()
    told = "task: non-zero exit (137): dockerexec: unhealthy container"
    eventually(lambda: told in daemon.docker("service", "ps", "--no-trunc", "heart"), "it is unhealthy")
    (daemon.home / "hang").unlink()
    eventually(lambda: daemon.converged("heart"), "another one is healthy")
    rows = daemon.rows("service", "ps", "heart")
    assert re.match("Failed", next(row["CurrentState"] for row in rows if row["ID"] == first["ID"]))
    assert sum(row["CurrentState"].startswith("Running") for row in rows) == 1


def test_a_service_whose_tasks_are_never_healthy_has_none_that_runs(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    health = ("--health-cmd", "exit 1", "--health-interval", "200ms", "--health-retries", "1000")
    daemon.docker(
        "service", "create", "--name", "ill", *health, "--detach", "--no-resolve-image", "alpine", "sleep", "9"
    )
    eventually(daemon.tasks, "it runs")
    (row,) = daemon.rows("service", "ps", "ill")
    assert row["CurrentState"].startswith("Starting")
    assert daemon.rows("service", "ls")[0]["Replicas"] == "0/1"
