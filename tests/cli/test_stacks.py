"""What `skep stack` does on a running daemon, beside the unmodified docker client."""

from pathlib import Path

import pytest
from skep_adapters.cli.client import ask

from tests.cli.conftest import Daemon, eventually, refusal, skep

pytestmark = pytest.mark.usefixtures("docker")

FILE = """
version: "3.8"
services:
  web: {image: "${IMAGE:-v1}", configs: [c]}
  db: {image: v1}
configs:
  c: {file: c.txt}
"""


@pytest.fixture
def host(daemon: Daemon) -> str:
    daemon.start("--executor", "simulated")
    daemon.docker("swarm", "init")
    return f"unix://{daemon.socket}"


@pytest.fixture
def file(daemon: Daemon) -> Path:
    path = daemon.home / "stack.yml"
    path.write_text(FILE)
    (daemon.home / "c.txt").write_text("shown")
    return path


def images(daemon: Daemon) -> dict[str, str]:
    rows = daemon.docker("stack", "services", "app", "--format", "{{.Name}} {{.Image}}").splitlines()
    return dict(map(str.split, rows))


def numbered(host: str) -> list[tuple[str, str]]:
    deployments = ask(host, "GET", "skep", "stacks", "app", "deployments")["Deployments"]
    return [(one["Kind"], one["Client"].partition("/")[0]) for one in deployments]


def test_a_stack_of_both_clients_has_one_history_and_goes_back_whole(daemon: Daemon, host: str, file: Path) -> None:
    daemon.docker("stack", "deploy", "--detach", "--resolve-image", "never", "-c", str(file), "app")
    (daemon.home / "more.env").write_text("IMAGE=v2\n")
    done = skep("stack", "deploy", "-c", file, "--env-file", daemon.home / "more.env", "app", "-H", host)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Updated service app_web\n", ""), done
    assert images(daemon) == {"app_db": "v1:latest", "app_web": "v2:latest"}
    assert numbered(host) == [("deployment", "Docker-Client"), ("deployment", "skep")]

    done = skep("stack", "rollback", "app", "--to", 1, "-H", host)
    assert done.stdout == "app goes back to deployment 1\nUpdated service app_web\n", done
    assert images(daemon) == {"app_db": "v1:latest", "app_web": "v1:latest"}
    assert skep("stack", "deploy", "-c", file, "app", "-H", host).stdout == "app is so already\n"

    daemon.docker("stack", "rm", "app")
    head, *rows = skep("stack", "history", "app", "-H", host).stdout.splitlines()
    assert head.split() == ["NUMBER", "KIND", "ENDED", "BY", "CLIENT", "CHANGES"]
    assert [row.split()[:2] for row in rows] == [
        ["1", "deployment"],
        ["2", "deployment"],
        ["3", "rollback"],
        ["4", "removal"],
    ]
    assert rows[0].endswith("created network app_default, config app_c, app_db, app_web") or rows[0].endswith(
        "created network app_default, config app_c, app_web, app_db"
    )
    assert "had config app_c, which was removed since" in refusal(
        skep("stack", "rollback", "app", "--to", 1, "-H", host)
    )


def test_a_stack_is_pruned_listed_and_taken_over_by_the_other_client(daemon: Daemon, host: str, file: Path) -> None:
    assert skep("stack", "deploy", "-c", file, "app", "-H", host).stdout == (
        "Created service app_db\nCreated service app_web\n"
    )
    eventually(lambda: daemon.runs("app_web", "1/1"), "it runs")
    before = daemon.docker("service", "inspect", "app_web", "--format", "{{json .Spec}}")
    daemon.docker("stack", "deploy", "--detach", "--resolve-image", "never", "-c", str(file), "app")
    assert daemon.docker("service", "inspect", "app_web", "--format", "{{json .Spec}}") == before
    assert len(daemon.docker("stack", "ps", "-q", "app").split()) == 2, "what is equal replaces no task"
    file.write_text("services: {web: {image: v1, tmpfs: /tmp}}")
    done = skep("stack", "deploy", "-c", file, "--prune", "app", "-H", host)
    assert done.stdout == "Updated service app_web\nRemoved service app_db\n"
    assert done.stderr == "Ignoring unsupported options: tmpfs\n"
    assert [row.split() for row in skep("stack", "ls", "-H", host).stdout.splitlines()] == [
        ["NAME", "SERVICES"],
        ["app", "1"],
    ]


def test_what_cannot_be_is_one_sentence(daemon: Daemon, host: str, file: Path) -> None:
    file.write_text("services: {web: {image: v1, deploy: {replicas: two}}}")
    assert refusal(skep("stack", "deploy", "-c", file, "app", "-H", host)) == (
        "skep: stack.yml: services.web.deploy.replicas: must be a whole number, not 'two'\n".strip()
    )
    assert "stack app not found" in refusal(skep("stack", "history", "app", "-H", host))
    nowhere = daemon.home / "nowhere.yml"
    assert "No such file" in refusal(skep("stack", "deploy", "-c", nowhere, "app", "-H", host))
