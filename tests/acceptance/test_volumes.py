"""Volumes and mounts of processes, driven by the real docker client."""

import json
import os
from pathlib import Path

import pytest

from tests.acceptance.daemon import Daemon, eventually

pytestmark = [
    pytest.mark.usefixtures("docker"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount everywhere"),
]

QUIET = ("--detach", "--no-resolve-image", "--restart-delay", "100ms")


def create(daemon: Daemon, name: str, *words: str) -> None:
    """Create a service of which nothing is left undone."""
    assert "has no effect" not in daemon.docker("service", "create", *QUIET, "--name", name, *words)


def ended(daemon: Daemon, name: str) -> list[str]:
    """Return how the tasks of a service ended: those that were rejected and failed."""
    rows = daemon.rows("service", "ps", "--no-trunc", name)
    return [f"{row['CurrentState'].split()[0]}: {row['Error']}" for row in rows if row["Error"]]


def names(daemon: Daemon, *words: str) -> list[str]:
    return [row["Name"] for row in daemon.rows("volume", "ls", *words)]


def test_volumes_are_made_listed_looked_at_removed_and_pruned(daemon: Daemon) -> None:
    daemon.start()
    assert daemon.docker("volume", "create", "--label", "a=b", "data") == "data\n"
    assert daemon.docker("volume", "create", "data") == "data\n"
    (shown,) = json.loads(daemon.docker("volume", "inspect", "data"))
    assert {name: shown[name] for name in ("Driver", "Labels", "Name", "Options", "Scope")} == {
        "Driver": "local",
        "Labels": {"a": "b"},
        "Name": "data",
        "Options": None,
        "Scope": "local",
    }
    assert list(Path(shown["Mountpoint"]).iterdir()) == []
    anonymous = daemon.docker("volume", "create").strip()
    assert len(anonymous) == 64

    daemon.docker("volume", "create", "other")
    assert names(daemon) == sorted(["data", "other", anonymous])
    assert names(daemon, "--filter", "label=a=b") == ["data"]
    assert names(daemon, "--filter", "name=the") == ["other"]
    assert names(daemon, "--filter", "dangling=false") == []
    assert names(daemon, "--filter", "driver=nfs") == []

    (Path(shown["Mountpoint"]) / "large").write_bytes(bytes(1_000_000))
    assert daemon.docker("volume", "rm", "other") == "other\n"
    assert anonymous in daemon.docker("volume", "prune", "--force")
    assert names(daemon) == ["data"]
    said = daemon.docker("volume", "prune", "--force", "--all", "--filter", "label!=c")
    assert "data" in said
    assert "reclaimed space: 1." in said
    assert names(daemon) == []


def test_what_cannot_be_is_refused_in_dockers_words(daemon: Daemon) -> None:
    daemon.start()
    assert "get no: no such volume" in daemon.docker("volume", "rm", "no", code=1)
    daemon.docker("volume", "rm", "--force", "no")
    assert "get no: no such volume" in daemon.docker("volume", "inspect", "no", code=1)
    assert 'plugin "nfs" not found' in daemon.docker("volume", "create", "--driver", "nfs", "x1", code=1)
    assert "options of volumes" in daemon.docker("volume", "create", "--opt", "type=nfs", "x1", code=1)
    assert "invalid characters for a local volume name" in daemon.docker("volume", "create", "a/b", code=1)
    status, value = daemon.ask("GET", '/v1.44/volumes?filters={"dangling":["perhaps"]}')
    assert (status, value["message"]) == (400, "invalid filter 'dangling=[perhaps]'")
    for name in ("..", ".", "%2e%2e", "..%2f..%2fswarms", ".new-1"):
        assert daemon.ask("DELETE", f"/v1.44/volumes/{name}").status == 404


def test_a_volume_survives_its_task_and_the_daemon(daemon: Daemon) -> None:
    daemon.start("--nodes", "2")
    daemon.docker("swarm", "init")
    target = daemon.home / "target"
    volume = ("--mount", f"type=volume,source=counted,target={target},volume-label=of=test")
    script = 'echo "begun" >> $0/log; while :; do sleep 0.1; done'
    create(daemon, "count", *volume, "alpine", "sh", "-c", script, str(target))
    eventually(lambda: daemon.converged("count"), "it runs")
    log = Path(json.loads(daemon.docker("volume", "inspect", "counted"))[0]["Mountpoint"]) / "log"
    assert names(daemon, "--filter", "label=of=test", "--filter", "dangling=false") == ["counted"]
    status, value = daemon.ask("DELETE", "/v1.44/volumes/counted?force=1")
    assert (status, value["message"].split(" - ")[0]) == (409, "remove counted: volume is in use")
    assert names(daemon, "--filter", "dangling=true") == []

    daemon.docker("service", "update", "--force", "--detach", "--no-resolve-image", "count")
    eventually(lambda: log.read_text().count("begun") == 2, "another task goes on with what is there")
    daemon.stop()
    daemon.start("--nodes", "2")
    eventually(lambda: log.read_text().count("begun") == 3, "and so does one of the daemon's next life")
    daemon.docker("service", "rm", "count")
    eventually(lambda: names(daemon, "--filter", "dangling=true") == ["counted"], "nobody uses it")
    assert daemon.docker("volume", "rm", "counted") == "counted\n"


def test_sources_and_targets_are_templates(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    mount = f"type=volume,source=v-{{{{.Task.Slot}}}}-x,target={daemon.home}/t{{{{.Task.Slot}}}}"
    script = "touch $0/t$SKEP_TASK_SLOT/it; sleep 1000"
    create(daemon, "some", "--replicas", "2", "--mount", mount, "alpine", "sh", "-c", script, str(daemon.home))
    eventually(lambda: daemon.converged("some"), "they run")
    assert names(daemon) == ["v-1-x", "v-2-x"]
    for name in names(daemon):
        folder = Path(json.loads(daemon.docker("volume", "inspect", name))[0]["Mountpoint"])
        eventually((folder / "it").exists, "its task wrote to it")


def test_a_task_whose_bind_source_is_missing_is_rejected(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    create(daemon, "lost", "--mount", "type=bind,source=/nonexistent-path,target=/host", "alpine", "sleep", "1000")
    words = 'Rejected: "invalid mount config for type "bind": bind source path does not exist: /nonexistent-path"'
    eventually(lambda: words in ended(daemon, "lost"), "it is rejected")


def test_a_file_is_bound_and_a_tmpfs_is_full_at_its_size(daemon: Daemon) -> None:
    daemon.start()
    daemon.docker("swarm", "init")
    (daemon.home / "conf").write_text("from the node\n")
    bind = ("--mount", f"type=bind,source={daemon.home}/conf,target={daemon.home}/etc/conf,readonly")
    tmpfs = ("--mount", f"type=tmpfs,target={daemon.home}/ram,tmpfs-size=1m")
    script = "cat $0/etc/conf; echo no > $0/etc/conf; head -c 2000000 /dev/zero > $0/ram/x; sleep 1000"
    create(daemon, "files", *bind, *tmpfs, "alpine", "sh", "-c", script, str(daemon.home))
    eventually(lambda: "No space left" in daemon.docker("service", "logs", "files"), "it wrote")
    said = daemon.docker("service", "logs", "files")
    assert "from the node" in said
    assert "Read-only file system" in said
