"""A stack's life on a real daemon: both clients, a kill, a refusal that leaves nothing, and going back as a whole."""

import subprocess
from pathlib import Path

import pytest

from tests.acceptance.daemon import SKEP, Daemon, eventually

pytestmark = [pytest.mark.usefixtures("docker"), pytest.mark.timeout(600)]

MARKER = "not-to-be-seen-anywhere"

FILE = """
version: "3.8"
x-quick: &quick
  update_config: {monitor: 300ms, parallelism: 0}
  rollback_config: {monitor: 300ms, parallelism: 0}
services:
  web:
    image: alpine
    command: sleep ${SECONDS_ASLEEP:-1000}
    secrets: [password]
    deploy: {replicas: 3, <<: *quick}
  db:
    image: alpine
    command: sleep 1000
    deploy: *quick
  ${EXTRA}
secrets:
  password: {file: password.txt}
"""

#: A service that the swarm refuses: its name is too long.
TOO_LONG = f"{'a' * 62}: {{image: alpine, secrets: [other]}}"
OTHER = "\n  other: {file: password.txt}\n"
CACHE = "cache: {image: alpine, command: sleep 1000}"


@pytest.fixture
def swarm(daemon: Daemon) -> Daemon:
    daemon.start()
    daemon.docker("swarm", "init")
    (daemon.home / "password.txt").write_text(MARKER)
    return daemon


def write(daemon: Daemon, extra: str = "") -> Path:
    path = daemon.home / "stack.yml"
    path.write_text(FILE.replace("${EXTRA}", extra))
    return path


def skep(daemon: Daemon, *words: str, code: int = 0, **env: str) -> str:
    command = [*SKEP, "stack", *words, "--host", f"unix://{daemon.socket}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={"HOME": "/", **env})
    assert done.returncode == code, done
    return done.stderr if code else done.stdout


def asleep(daemon: Daemon) -> list[str]:
    """Return what the services of the stack run."""
    rows = daemon.rows("stack", "services", "app")
    names = sorted(row["Name"] for row in rows)
    shown = '{{.Spec.Name}}: {{join .Spec.TaskTemplate.ContainerSpec.Args " "}}'
    return sorted(daemon.docker("service", "inspect", "--format", shown, *names).splitlines()) if names else []


def converged(daemon: Daemon) -> bool:
    rows = daemon.rows("stack", "services", "app")
    updates = daemon.docker(
        "service",
        "inspect",
        "--format",
        "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}",
        *(r["Name"] for r in rows),
    )
    ended = all(state in ("", "completed", "rollback_completed") for state in updates.split("\n"))
    return ended and all(len(set(row["Replicas"].split(" ")[0].split("/"))) == 1 for row in rows)


def test_a_stack_lives_through_both_clients_and_a_kill_and_goes_back_whole(swarm: Daemon) -> None:
    file = str(write(swarm))
    swarm.docker("stack", "deploy", "--detach", "--resolve-image", "never", "-c", file, "app")
    eventually(lambda: converged(swarm), "the first deployment runs")
    file = str(write(swarm, CACHE))
    assert skep(swarm, "deploy", "-c", file, "app", SECONDS_ASLEEP="2000") == (
        "Created service app_cache\nUpdated service app_web\n"
    )
    eventually(lambda: converged(swarm), "the second deployment runs")
    swarm.kill()
    swarm.start()
    eventually(lambda: converged(swarm), "the second deployment runs again")
    assert asleep(swarm) == ["app_cache: sleep 1000", "app_db: sleep 1000", "app_web: sleep 2000"]
    history = skep(swarm, "history", "app").splitlines()
    assert [row.split()[:2] for row in history[1:]] == [["1", "deployment"], ["2", "deployment"]]

    before = {row["ID"] for row in swarm.rows("service", "ps", "app_db")}
    assert skep(swarm, "rollback", "app", "--to", "1") == (
        "app goes back to deployment 1\nUpdated service app_web\nRemoved service app_cache\n"
    )
    eventually(lambda: converged(swarm), "it went back")
    assert asleep(swarm) == ["app_db: sleep 1000", "app_web: sleep 1000"]
    assert {row["ID"] for row in swarm.rows("service", "ps", "app_db")} == before, "what did not change goes on"
    eventually(lambda: len(swarm.tasks()) == 4, "only the stack's tasks run")
    swarm.docker("stack", "rm", "app")
    eventually(lambda: not swarm.tasks(), "nothing runs")


def test_a_deployment_that_is_refused_leaves_nothing_and_a_secret_is_nowhere_in_plain(swarm: Daemon) -> None:
    file = write(swarm, TOO_LONG)
    file.write_text(file.read_text() + OTHER.strip("\n") + "\n")
    assert "name must be 63 characters or fewer" in skep(swarm, "deploy", "-c", str(file), "app", code=1)
    for what in ("service", "secret"):
        assert swarm.docker(what, "ls", "-q") == ""
    assert skep(swarm, "ls") == "NAME  SERVICES\n"
    skep(swarm, "deploy", "-c", str(write(swarm)), "app")
    eventually(lambda: converged(swarm), "it runs")
    for path in swarm.data.rglob("*"):
        if path.is_file():
            assert MARKER.encode() not in path.read_bytes(), path
    assert MARKER not in swarm.told()
