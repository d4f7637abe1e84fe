"""What `--with-registry-auth` sends reaches the engines that pull, and is nowhere in plain where skep keeps things."""

import sys
from pathlib import Path

import pytest

from tests.acceptance.daemon import eventually
from tests.engines.private_registry import PrivateRegistry, spellings
from tests.engines.skep_daemon import DATA
from tests.engines.swarm import SHORT, Begin, Swarm, containers, everywhere

#: for a process on the machine of skep: SQLite opens no file of another machine
LIST_KEYS = """
import sqlite3, sys
keyring = sqlite3.connect(f"file:{sys.argv[1]}/swarms/000001/keyring.db?mode=ro", uri=True)
for (key_id,) in keyring.execute("SELECT key_id FROM keys WHERE key_id LIKE 'registry-%'"):
    print(key_id)
"""


@pytest.fixture
def private(swarm_of: Begin, home: Path) -> tuple[Swarm, PrivateRegistry]:
    """A swarm of two workers, and a registry of which skep knows that it has no TLS."""
    swarm = swarm_of(2)
    registry = PrivateRegistry(swarm.rig.machine("registry"), home)
    registry.log_in(swarm.workers[0])
    swarm.skep.stop()
    swarm.skep.options = (*swarm.skep.options, "--insecure-registry", registry.host)
    swarm.skep.start()
    eventually(lambda: set(swarm.nodes().values()) == {"Ready"}, "all are back")
    return swarm, registry


def create(swarm: Swarm, name: str, *words: str) -> str:
    return swarm.docker("service", "create", "--detach", "--name", name, *SHORT, *words)


def image_of(swarm: Swarm, name: str) -> str:
    return str(swarm.show("service", name)["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])


def versions(swarm: Swarm, name: str) -> set[str]:
    """Return what the containers of a service say that they are; one that ends just now says nothing."""
    found = [(engine, each) for engine in swarm.workers for each in containers(engine, name)]
    shown = [engine.client("exec", each, "cat", "/www/version") for engine, each in found]
    return {done.stdout.decode().strip() for done in shown if done.returncode == 0}


def check_nowhere(swarm: Swarm) -> None:
    """See that the password is in no file of skep's, in no line of its log, and on no command line."""
    machine = swarm.skep.machine
    places = [path for path in machine.file(DATA).rglob("*") if path.is_file()]
    assert any(path.name == "cluster.db" for path in places)
    held = [path.read_bytes() for path in (*places, swarm.skep.log)]
    held += [" ".join(each.words).encode() for each in machine.processes()]
    assert not [form for form in spellings() for content in held if form in content]


def keys(swarm: Swarm) -> list[str]:
    """Return the names of the keys of services."""
    return swarm.skep.machine.run(sys.executable, "-c", LIST_KEYS, DATA).split()


def test_an_image_of_a_private_registry_runs_with_credentials_and_not_without(
    private: tuple[Swarm, PrivateRegistry],
) -> None:
    swarm, registry = private
    first = registry.push(swarm.workers[0], "app:v1", "shop:v1")
    second = registry.push(swarm.workers[0], "app:v2", "shop:v2")

    said = create(swarm, "closed", "--restart-condition", "none", first)
    assert f"image {first} could not be accessed on a registry" in said
    eventually(lambda: any("Rejected" in row["CurrentState"] for row in swarm.tasks("closed")), "it is rejected")
    assert {row["Error"].strip('"') for row in swarm.tasks("closed")} == {f"No such image: {first}"}
    assert keys(swarm) == []

    # it is enough to say it later: its tasks have no image yet
    swarm.docker("service", "update", "--detach", "--with-registry-auth", "--restart-condition", "any", "closed")
    swarm.await_running("closed", 1)

    said = create(swarm, "shop", "--with-registry-auth", "--replicas", "2", first)
    assert "could not be accessed" not in said
    assert image_of(swarm, "shop").startswith(f"{first}@sha256:")
    assert {row["Node"] for row in swarm.await_running("shop", 2)} == {"host-1", "host-2"}
    assert versions(swarm, "shop") == {"app v1"}
    check_nowhere(swarm)

    # who has its image is left alone, whatever is sent, and whoever is started again
    before = everywhere(swarm.workers, "shop")
    swarm.docker("service", "update", "--detach", "--with-registry-auth", "shop")
    swarm.skep.kill()
    swarm.skep.start()
    eventually(lambda: set(swarm.nodes().values()) == {"Ready"}, "all are back")
    swarm.await_running("shop", 2)
    assert everywhere(swarm.workers, "shop") == before

    # an update that says nothing of credentials keeps them, and an engine needs them to pull
    swarm.docker("service", "update", "--detach", "--image", second, "shop")
    eventually(lambda: versions(swarm, "shop") == {"app v2"}, "it is updated")
    swarm.docker("service", "rollback", "--detach", "shop")
    eventually(lambda: versions(swarm, "shop") == {"app v1"}, "it is back")
    shown = swarm.docker("service", "inspect", "shop")
    assert "PullOptions" not in shown
    assert not [form for form in spellings() if form.decode() in shown]
    check_nowhere(swarm)

    assert len(keys(swarm)) == 2
    swarm.docker("service", "rm", "shop", "closed")
    assert keys(swarm) == []
