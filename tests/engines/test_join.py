"""Engines join by the client's words and a token, and nobody joins otherwise."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.daemon import eventually
from tests.engines.engine import Engine
from tests.engines.rig import Rig
from tests.engines.swarm import Begin, Swarm, containers

pytestmark = pytest.mark.timeout(300)

#: A node of a token's swarm is not told more than this of a token that is not good.
NECESSARY = "A valid join token is necessary to join this cluster"


def refusal(swarm: Swarm, engine: Engine, token: str) -> str:
    """Return what a user reads whose engine may not join; the engine is in no swarm then."""
    said = engine.docker("swarm", "join", "--token", token, swarm.addr, code=1)
    engine.client("swarm", "leave", "--force")
    assert engine.show("info")["Swarm"]["LocalNodeState"] == "inactive"
    return said


def test_engines_join_and_are_listed_as_they_are(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    rows = {row["Hostname"]: row for row in swarm.skep.rows("node", "ls")}
    assert {name: row["Status"] for name, row in rows.items()} == dict.fromkeys(
        ("manager", "host-1", "host-2"), "Ready"
    )
    for engine in swarm.workers:
        node, info = swarm.node(engine), engine.show("info")
        assert node["ID"] == info["Swarm"]["NodeID"]
        assert node["Status"]["Addr"] == engine.address
        assert node["Description"]["Engine"]["EngineVersion"] == info["ServerVersion"]
        assert node["Description"]["Resources"] == {"NanoCPUs": info["NCPU"] * 10**9, "MemoryBytes": info["MemTotal"]}
        assert rows[engine.machine.name]["EngineVersion"] == info["ServerVersion"]
        assert rows[engine.machine.name]["ManagerStatus"] == ""
        assert info["Swarm"]["LocalNodeState"] == "active"
        assert [one["Addr"] for one in info["Swarm"]["RemoteManagers"]] == [swarm.addr]


def test_an_engine_joins_with_the_availability_that_its_user_says(swarm_of: Begin, rig: Rig) -> None:
    swarm = swarm_of(0)
    engine = rig.engine("idle")
    swarm.join(engine, "--availability", "drain")
    assert swarm.node(engine)["Spec"]["Availability"] == "drain"


def test_no_engine_joins_by_a_token_that_is_wrong_or_was_rotated_or_is_a_managers(swarm_of: Begin, rig: Rig) -> None:
    swarm = swarm_of(0)
    first, second, third = rig.engines(3)
    old = swarm.token()
    swarm.docker("swarm", "join-token", "--rotate", "--quiet", "worker")
    new = swarm.token()
    assert new != old
    wrong = new[:-1] + ("0" if new[-1] != "0" else "1")
    swarms = [(first, old), (second, wrong), (third, swarm.token("manager"))]
    with ThreadPoolExecutor() as pool:  # an engine tries for ten seconds
        said = list(pool.map(lambda each: refusal(swarm, *each), swarms))
    assert NECESSARY in said[0]
    assert NECESSARY in said[1]
    assert "A Docker Engine cannot be a manager of this swarm" in said[2]
    assert "join-token worker" in said[2]
    assert "invalid join token" in refusal(swarm, first, "SWMTKN-1-nothing")
    assert list(swarm.nodes()) == ["manager"]
    swarm.join(first)
    swarm.await_state(first, "Ready")


def test_an_engine_is_not_promoted_and_its_user_reads_why(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    for words in (("promote",), ("update", "--role", "manager")):
        assert "cannot be promoted: a Docker Engine is no manager of skep's swarm" in swarm.docker(
            "node", *words, "host-1", code=1
        )
    assert swarm.node(swarm.workers[0])["Spec"]["Role"] == "worker"
    assert swarm.workers[0].show("info")["Swarm"]["ControlAvailable"] is False


def test_an_engine_that_leaves_is_down_and_its_node_can_be_removed(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    stays, leaves = swarm.workers
    swarm.create("web", "--replicas", "2", "app:v1")
    swarm.await_running("web", 2)
    assert "is not down" in swarm.docker("node", "rm", leaves.machine.name, code=1)
    leaves.docker("swarm", "leave")
    swarm.await_state(leaves, "Down")
    swarm.await_running("web", 2)
    assert len(containers(stays, "web")) == 2
    assert containers(leaves, "web") == {}
    swarm.docker("node", "rm", leaves.machine.name)
    assert leaves.machine.name not in swarm.nodes()
    swarm.join(leaves)
    assert swarm.nodes()[leaves.machine.name] == "Ready"


def test_a_node_that_was_removed_is_refused_and_its_tasks_end(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    stays, removed = swarm.workers
    swarm.create("web", "--replicas", "2", "app:v1")
    swarm.await_running("web", 2)
    node_id = swarm.node(removed)["ID"]
    swarm.docker("node", "rm", "--force", removed.machine.name)
    swarm.await_running("web", 2)
    eventually(lambda: len(containers(stays, "web")) == 2, "both run on the other one")
    # its certificate is good still, and it tries again and again
    refused = f"node {node_id} is no member of this swarm"
    eventually(lambda: removed.log.read_text().count(refused) > 2, "it is refused whenever it comes")
    assert removed.machine.name not in swarm.nodes()
    # Docker leaves it what it runs, until its user has it leave
    removed.docker("swarm", "leave", "--force")
    assert containers(removed, "web") == {}
