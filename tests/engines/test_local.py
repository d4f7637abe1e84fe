"""skep and the engine of its machine are one node, and one socket serves for everything."""

import pytest

from tests.acceptance.daemon import eventually
from tests.engines.engine import Engine
from tests.engines.swarm import Begin, Swarm, containers

pytestmark = pytest.mark.timeout(300)


def of(swarm: Swarm) -> Engine:
    assert swarm.local is not None
    return swarm.local


def test_skep_and_the_engine_of_its_machine_are_one_node(swarm_of: Begin) -> None:
    swarm = swarm_of(1, local=True)
    local, info = of(swarm), of(swarm).show("info")
    rows = {row["Hostname"]: row for row in swarm.skep.rows("node", "ls")}
    assert sorted(rows) == ["host-1", "manager"]
    assert rows["manager"]["ManagerStatus"] == "Leader"
    assert rows["manager"]["Self"] is True
    assert rows["manager"]["EngineVersion"] == info["ServerVersion"]
    node = swarm.node(local)
    assert node["ID"] == info["Swarm"]["NodeID"] == swarm.skep.show("info")["Swarm"]["NodeID"]
    assert node["Description"]["Resources"]["MemoryBytes"] == info["MemTotal"]
    assert node["ManagerStatus"]["Leader"] is True
    assert node["Spec"]["Role"] == "manager"
    assert info["Swarm"]["ControlAvailable"] is False  # to the engine it is a worker
    assert swarm.skep.show("info")["Swarm"]["ControlAvailable"] is True

    swarm.create("top", "--constraint", "node.role==manager", "app:v1")
    swarm.create("low", "--constraint", "node.role==worker", "--mode", "global", "app:v1")
    assert swarm.await_running("top", 1)[0]["Node"] == "manager"
    assert swarm.await_running("low", 1)[0]["Node"] == "host-1"
    assert len(containers(local, "top")) == 1
    assert containers(local, "low") == {}
    # what the engine has is seen through skep's socket
    assert containers(swarm.skep, "top") == containers(local, "top")
    assert swarm.docker("exec", next(iter(containers(swarm.skep, "top"))), "cat", "/www/version") == "app v1\n"
    assert "app v1 on" in swarm.docker("service", "logs", "--raw", "top")


def test_the_engine_of_the_machine_stays_a_member_when_skep_or_it_is_killed(swarm_of: Begin) -> None:
    swarm = swarm_of(0, local=True)
    local = of(swarm)
    swarm.create("web", "--replicas", "2", "--restart-delay", "100ms", "app:v1")
    swarm.await_running("web", 2)
    before, node_id = containers(local, "web"), swarm.node(local)["ID"]
    swarm.skep.kill()
    swarm.skep.start()
    swarm.await_state(local, "Ready")
    swarm.await_running("web", 2)
    assert containers(local, "web") == before

    local.kill()
    local.start()
    eventually(lambda: len(containers(local, "web")) == 2, "they run again")
    swarm.await_running("web", 2)
    assert not before.keys() & containers(local, "web").keys()
    assert list(swarm.nodes().values()) == ["Ready"]
    assert swarm.node(local)["ID"] == node_id


def test_skep_is_there_before_the_engine_of_its_machine_and_after_it(swarm_of: Begin) -> None:
    swarm = swarm_of(0, local=True)
    local = of(swarm)
    local.stop()
    swarm.await_state(local, "Down")
    assert swarm.docker("service", "ls", "--quiet") == ""
    swarm.create("web", "app:v1")
    local.start()
    swarm.await_state(local, "Ready")
    swarm.await_running("web", 1)


def test_the_engine_of_the_machine_leaves_with_skep_and_joins_its_next_swarm(swarm_of: Begin) -> None:
    swarm = swarm_of(0, local=True)
    local = of(swarm)
    swarm.create("web", "app:v1")
    swarm.await_running("web", 1)
    first = swarm.node(local)["ID"]
    assert "Use `--force`" in swarm.docker("swarm", "leave", code=1)
    assert len(containers(local, "web")) == 1
    swarm.docker("swarm", "leave", "--force")
    eventually(lambda: local.show("info")["Swarm"]["LocalNodeState"] == "inactive", "it has left too")
    assert local.rows("ps", "--all") == []
    assert swarm.skep.show("info")["Swarm"]["LocalNodeState"] == "inactive"

    swarm.docker("swarm", "init")
    eventually(lambda: local.show("info")["Swarm"]["LocalNodeState"] == "active", "it is a member again")
    assert swarm.node(local)["ID"] == local.show("info")["Swarm"]["NodeID"] != first
