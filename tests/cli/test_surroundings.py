"""What is wrong around the daemon is one sentence and exit code 1, never a traceback."""

import hashlib
import json
import os
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Daemon, eventually, refusal, skep

SIMULATED = ("--executor", "simulated")


def up(data: Path, *words: str) -> str:
    return refusal(skep("up", "--data", data, *words))


@pytest.fixture
def ended(daemon: Daemon, docker: None) -> Daemon:  # noqa: ARG001 - it may skip
    """A daemon that had a swarm, and ended."""
    daemon.start(*SIMULATED)
    daemon.docker("swarm", "init")
    assert daemon.end() == 0
    return daemon


def test_a_directory_in_use_names_the_process_that_has_it(daemon: Daemon) -> None:
    daemon.start(*SIMULATED)
    sentence = up(daemon.data, *SIMULATED)
    assert f"{daemon.data}/lock is held by another process (pid {daemon.process.pid})" in sentence
    assert "--data" in sentence
    assert daemon.socket.exists()


def test_a_socket_on_which_another_server_listens_is_left_alone(daemon: Daemon, home: Path) -> None:
    daemon.start(*SIMULATED)
    assert "another server listens there" in up(home / "other", "-H", f"unix://{daemon.socket}")
    assert daemon.socket.exists()


@pytest.mark.parametrize(
    "words", [("--nodes", "0"), ("--catalog", "/nope"), ("-H", "http://h"), ("-H", "unix:///nope/skep.sock")], ids=str
)
def test_what_is_refused_leaves_no_directory_behind(home: Path, words: tuple[str, ...]) -> None:
    up(home / "new", *words)
    assert not list(home.iterdir())


def test_what_is_no_socket_is_left_alone_and_a_dead_socket_is_taken(daemon: Daemon, home: Path) -> None:
    file = home / "precious"
    file.write_text("precious")
    assert f"unix://{file}: something that is no socket" in up(home / "e", "-H", f"unix://{file}")
    assert file.read_text() == "precious"
    daemon.data.mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(daemon.socket))
    daemon.start(*SIMULATED)
    assert daemon.end() == 0


def test_a_directory_that_cannot_be_made_is_named(home: Path) -> None:
    file = home / "file"
    file.write_text("")
    assert str(file) in up(file)
    assert "/proc/skep" in up(Path("/proc/skep"))
    assert f"no directory {home}/none" in up(home / "e", "-H", f"unix://{home}/none/skep.sock")


def test_a_catalogue_that_cannot_be_used_is_told_by_key(home: Path) -> None:
    catalogue = home / "c.toml"
    assert f"{catalogue}: No such file" in up(home / "e", "--catalog", str(catalogue))
    catalogue.write_text("[images.web]\ncommand = 3\n")
    assert f"{catalogue}: images.web.command = 3" in up(home / "e", "--catalog", str(catalogue))


def test_a_log_that_lost_its_end_is_told_with_the_good_position_and_left_as_it_is(ended: Daemon) -> None:
    with closing(sqlite3.connect(ended.log())) as database, database:
        (end,) = database.execute("SELECT max(position) FROM log").fetchone()
        database.execute("DELETE FROM log WHERE position = ?", (end,))
    sentence = up(ended.data, *SIMULATED)
    assert f"damaged after position {end - 1}" in sentence
    assert f"known to have reached {end}" in sentence
    assert "backup" in sentence


def test_a_log_of_a_newer_format_is_refused(ended: Daemon) -> None:
    with closing(sqlite3.connect(ended.log())) as database:
        database.execute("PRAGMA user_version = 99")
    assert "is a log of a newer version (99" in up(ended.data, *SIMULATED)


def test_a_log_with_an_event_of_a_newer_version_is_refused_by_its_name(ended: Daemon) -> None:
    with closing(sqlite3.connect(ended.log())) as database, database:
        position, body, digest = database.execute("SELECT * FROM log ORDER BY position DESC LIMIT 1").fetchone()
        record = json.loads(body) | {"position": position + 1, "events": [{"type": "node.levitated/9"}]}
        body = json.dumps(record)
        digest = hashlib.sha256(digest + body.encode()).digest()
        database.execute("INSERT INTO log VALUES (?, ?, ?)", (position + 1, body, digest))
    sentence = up(ended.data, *SIMULATED)
    assert "newer version of skep" in sentence
    assert "node.levitated/9" in sentence


@pytest.mark.usefixtures("docker")
def test_an_engine_that_fails_ends_the_daemon_with_a_sentence(daemon: Daemon) -> None:
    daemon.start(*SIMULATED)
    daemon.docker("swarm", "init")
    with closing(sqlite3.connect(daemon.log())) as database, database:
        database.execute("UPDATE writer SET epoch = epoch + 1")
    daemon.docker("service", "create", "--detach", "--no-resolve-image", "--name", "x", "none", check=False)
    assert daemon.ended() == 1
    (sentence,) = [line for line in daemon.errors.read_text().splitlines() if not line.startswith("{")]
    assert "somebody claimed after epoch" in sentence


@pytest.mark.usefixtures("docker")
def test_a_second_interrupt_ends_a_daemon_whose_end_takes_long(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    daemon.create("web", "sleep", "1000", replicas=1)
    eventually(lambda: daemon.runs("web", "1/1"), "it runs")
    (supervisor,) = _children(daemon.process.pid)
    os.kill(supervisor, signal.SIGSTOP)  # now tasks cannot end
    daemon.process.send_signal(signal.SIGINT)
    eventually(lambda: any(entry["event"] == "daemon.stopping" for entry in daemon.told()), "it is stopping")
    assert daemon.end(signal.SIGINT) == 130
    os.kill(supervisor, signal.SIGCONT)
    eventually(lambda: not daemon.tasks(), "its task is gone")


def _children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
