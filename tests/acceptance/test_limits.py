"""Limits of processes, driven by the real docker client."""

from pathlib import Path

import pytest
from skep_adapters.process.cgroups import find_hierarchies, limits_of

from tests.acceptance.daemon import Daemon, eventually

pytestmark = [
    pytest.mark.usefixtures("docker"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        "Resources.Limits.MemoryBytes" not in limits_of(find_hierarchies()), reason="there are no control groups here"
    ),
]

#: Waits for a file, then takes 200 MB.
EATING = "until [ -e $0/eat ]; do sleep 0.1; done; x=$(head -c 200000000 /dev/zero | tr '\\0' x); sleep 1000"


def groups(task_id: str) -> list[Path]:
    return [path for one in find_hierarchies() for path in one.path.glob(f"skep-*-{task_id}")]


def test_a_task_over_its_memory_limit_is_killed_and_replaced_and_nobody_is_warned(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    options = ("--detach", "--no-resolve-image", "--restart-delay", "100ms", "--limit-memory", "64m")
    said = daemon.docker(
        "service", "create", *options, "--name", "eater", "alpine", "sh", "-c", EATING, str(daemon.home)
    )
    assert "has no effect" not in said
    eventually(lambda: daemon.converged("eater"), "it runs")
    (daemon.home / "eat").touch()
    told = "task: non-zero exit (137)"
    eventually(lambda: told in daemon.docker("service", "ps", "--no-trunc", "eater"), "it was killed")
    (daemon.home / "eat").unlink()
    eventually(lambda: daemon.converged("eater"), "another one runs")
    (task,) = {process.task_id for process in daemon.tasks()}
    assert groups(task)
    daemon.docker("service", "rm", "eater")
    eventually(lambda: not groups(task), "no group is left")
