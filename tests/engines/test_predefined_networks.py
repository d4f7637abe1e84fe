"""The networks that every engine has of its own, under tasks of services; and what both know of networks."""

import contextlib
from typing import Any

import pytest

from tests.acceptance.daemon import UnixConnection, eventually
from tests.engines.engine import Engine
from tests.engines.swarm import Begin, Swarm, containers, get, inside

pytestmark = pytest.mark.timeout(300)

FETCH = ("busybox", "timeout", "2", "busybox", "wget", "-qO-")


def container(engine: Engine, name: str) -> Any:
    """Return what an engine says of a service's container."""
    return engine.show("inspect", next(iter(containers(engine, name))))


def fetched(swarm: Swarm, address: str) -> str:
    return swarm.skep.machine.run(*FETCH, f"http://{address}/version", code=None)


def prune(swarm: Swarm) -> Any:
    with contextlib.closing(UnixConnection(swarm.skep.socket)) as connection:
        return connection.ask("POST", "/v1.41/networks/prune").value


def test_a_task_on_host_is_in_the_network_of_its_machine(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    (engine,) = swarm.workers
    swarm.create("web", "--network", "host", "app:v1")
    (row,) = swarm.await_running("web", 1)
    assert row["Error"] == ""
    assert len(swarm.tasks("web")) == 1
    assert container(engine, "web")["HostConfig"]["NetworkMode"] == "host"
    its = inside(engine, "web", "ls", "-l", "/proc/self/ns/net").split()[-1]
    assert its == engine.machine.run("busybox", "ls", "-l", "/proc/self/ns/net").split()[-1]
    assert fetched(swarm, engine.address) == "app v1\n"

    network = swarm.show("service", "web")["Spec"]["TaskTemplate"]["Networks"][0]["Target"]
    assert swarm.show("service", "web")["Endpoint"]["VirtualIPs"] == [{"NetworkID": network}]
    assert get(swarm.skep, "/networks/host?scope=swarm")["Id"] == network
    swarm.update("web", "--image", "app:v2")
    eventually(lambda: fetched(swarm, engine.address) == "app v2\n", "an update takes its place")


def test_a_task_on_bridge_is_on_the_bridge_of_its_engine(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    (engine,) = swarm.workers
    swarm.create("web", "--network", "bridge", "app:v1")
    swarm.await_running("web", 1)
    assert len(swarm.tasks("web")) == 1
    found = container(engine, "web")
    assert found["HostConfig"]["NetworkMode"] == "bridge"
    bridge = engine.show("network", "inspect", "bridge")
    assert [*bridge["Containers"]] == [found["Id"]]
    address = found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert engine.machine.run(*FETCH, f"http://{address}/version") == "app v1\n"


def test_a_stack_is_on_the_network_of_the_machines(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    (engine,) = swarm.workers
    file = (
        'version: "3.8"\n'
        "services: {web: {image: 'app:v1', networks: [hostnet]}}\n"
        "networks: {hostnet: {external: true, name: host}}\n"
    )
    swarm.docker("stack", "deploy", "--resolve-image", "never", "-c", "-", "app", stdin=file)
    swarm.await_running("app_web", 1)
    assert fetched(swarm, engine.address) == "app v1\n"


def test_a_port_of_every_node_cannot_be_a_hosts_and_the_engine_says_so(swarm_of: Begin) -> None:
    """Swarm takes such a service, too."""
    swarm = swarm_of(1)
    swarm.create("web", "--network", "host", "--publish", "8080:80", "--restart-condition", "none", "app:v1")
    eventually(lambda: any(row["Error"] for row in swarm.tasks("web")), "it fails")
    assert "connected to host network" in swarm.tasks("web")[0]["Error"]


def test_the_engine_of_the_machine_and_the_swarm_have_their_networks_apart(swarm_of: Begin) -> None:
    swarm = swarm_of(1, local=True)
    assert swarm.local is not None
    theirs = swarm.local.show("network", "inspect", "host")["Id"]
    assert swarm.skep.show("network", "inspect", "host")["Id"] == theirs
    assert sum(row["Name"] == "host" for row in swarm.skep.rows("network", "ls")) == 1
    assert "pre-defined network and cannot be removed" in swarm.docker("network", "rm", "host", code=1)
    swarm.create("web", "--network", "host", "--mode", "global", "app:v1")
    swarm.await_running("web", 2)
    assert fetched(swarm, swarm.skep.address) == fetched(swarm, swarm.workers[0].address) == "app v1\n"

    swarm.docker("network", "create", "mine")
    words = swarm.docker("network", "create", "--driver", "overlay", "mine", code=1)
    assert "network with name mine already exists" in words


def test_what_only_the_engine_knows_of_a_network_is_shown_and_both_are_pruned(swarm_of: Begin) -> None:
    swarm = swarm_of(1, local=True)
    local = swarm.local
    assert local is not None
    swarm.docker("network", "create", "--driver", "overlay", "inside")
    swarm.docker("network", "create", "--driver", "overlay", "unused")
    swarm.docker("network", "create", "mine")
    words = ("--network", "inside", "--endpoint-mode", "dnsrr", "--mode", "global", "app:v1")
    swarm.create("web", *words)
    swarm.await_running("web", 2)
    (mine,) = containers(local, "web")
    shown = get(swarm.skep, "/networks/inside")
    assert mine in shown["Containers"]
    assert shown["Labels"] == {}
    assert get(swarm.skep, "/networks/unused")["Labels"] is None
    eventually(lambda: len(get(swarm.skep, "/networks/inside")["Peers"]) == 2, "both machines are peers")
    eventually(
        lambda: len(get(swarm.skep, "/networks/inside?verbose=true")["Services"]["web"]["Tasks"]) == 2,
        "the tasks are shown to who wants to know more",
    )
    assert "Services" not in shown

    assert prune(swarm) == {"NetworksDeleted": ["unused", "mine"]}
    names = [row["Name"] for row in swarm.skep.rows("network", "ls")]
    assert {"inside", "ingress", "host", "bridge"} <= {*names}
    assert not {"unused", "mine"} & {*names}
