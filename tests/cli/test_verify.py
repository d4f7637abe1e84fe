"""`skep verify`: says what it looked at, beside a daemon too, and fails where something does not hold."""

import sqlite3
from contextlib import closing

import pytest

from tests.cli.conftest import Daemon, refusal, skep

pytestmark = pytest.mark.usefixtures("docker")


def test_it_looks_at_every_swarm_while_the_daemon_runs_and_finds_damage(daemon: Daemon) -> None:
    daemon.start("--executor", "simulated")
    daemon.docker("swarm", "init")
    daemon.docker("swarm", "leave", "--force")
    daemon.docker("swarm", "init")
    daemon.create("web", "anything")
    done = skep("verify", "--data", daemon.data)
    assert done.returncode == 0, done
    first, second = (line for line in done.stdout.splitlines() if line.startswith("swarm "))
    assert first.startswith("swarm 000001: ")
    assert second.startswith("swarm 000002: ")
    assert second.endswith(": all of it holds")
    assert "decisions" in second
    assert done.stderr == ""
    quick = skep("verify", "--data", daemon.data, "--quick")
    assert quick.returncode == 0
    assert "nothing was run again" in quick.stdout
    assert daemon.end() == 0

    with closing(sqlite3.connect(daemon.log(2))) as database, database:
        (changed,) = database.execute("SELECT min(position) FROM log WHERE instr(body, 'web')").fetchone()
        database.execute("UPDATE log SET body = replace(body, 'web', 'wob') WHERE position = ?", (changed,))
    done = skep("verify", "--data", daemon.data)
    assert done.returncode == 1
    assert f"problem: position {changed - 1} is the last good one" in done.stdout

    with closing(sqlite3.connect(daemon.log(1))) as database:
        database.execute("PRAGMA user_version = 99")
    done = skep("verify", "--data", daemon.data)
    assert done.returncode == 1
    assert "newer version (99" in done.stdout


def test_a_directory_without_a_swarm_is_refused(daemon: Daemon) -> None:
    assert "no swarm is kept there" in refusal(skep("verify", "--data", daemon.home))
