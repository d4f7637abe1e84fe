"""Networks reach across real engines, with names, and ports of the hosts lead to tasks."""

import re
from collections.abc import Callable

import pytest

from tests.acceptance.daemon import eventually
from tests.engines.engine import Engine
from tests.engines.machine import Machine
from tests.engines.surroundings import lacks
from tests.engines.swarm import Begin, Swarm, containers

pytestmark = pytest.mark.timeout(300)

#: Its own limit of time is none that busybox has.
FETCH = ("busybox", "timeout", "2", "busybox", "wget", "-qO-")


@pytest.fixture
def need(machine: Machine) -> Callable[[str], None]:
    """What skips a test where the kernel lacks something, and says what."""

    def need(what: str) -> None:
        if lacking := [each for each in lacks(machine) if each.startswith(f"no {what}")]:
            pytest.skip(lacking[0])

    return need


def address(engine: Engine, name: str, network: str) -> str:
    """Return the address of a service's container on an engine."""
    found = engine.show("inspect", next(iter(containers(engine, name))))
    return str(found["NetworkSettings"]["Networks"][network]["IPAddress"])


def named(engine: Engine, asker: str, name: str) -> set[str]:
    """Return the addresses that a name has for a service's container on an engine."""
    said = engine.client("exec", next(iter(containers(engine, asker))), "nslookup", "-type=a", name).stdout.decode()
    answer = said.partition(f"Name:\t{name}")[2]
    return set(re.findall(r"^Address(?: \d+)?: ([0-9.]+)", answer, re.MULTILINE))


def reaches(engine: Engine, asker: str, addr: str) -> bool:
    """Say whether a container gets /version of the app at an address."""
    words = ("exec", next(iter(containers(engine, asker))), *FETCH, f"http://{addr}/version")
    return engine.client(*words).stdout.startswith(b"app ")


@pytest.mark.parametrize("local", [False, True], ids=["alone", "with an engine"])
def test_tasks_reach_each_other_across_hosts_by_name(
    swarm_of: Begin, need: Callable[[str], None], *, local: bool
) -> None:
    need("VXLAN")
    swarm = swarm_of(2, local=local)
    first, second = swarm.workers
    swarm.docker("network", "create", "--driver", "overlay", "--subnet", "10.50.0.0/24", "inside")
    words = ("--network", "name=inside,alias=site", "--endpoint-mode", "dnsrr", "--mode", "global", "app:v1")
    swarm.create("web", "--constraint", "node.role==worker", *words)
    swarm.create("asker", "--network", "inside", "--constraint", "node.hostname==host-1", "app:v2")
    swarm.await_running("web", 2)
    swarm.await_running("asker", 1)
    assert [row["Error"] for row in (*swarm.tasks("web"), *swarm.tasks("asker"))] == [""] * 3  # each at the first try
    both = {address(engine, "web", "inside") for engine in swarm.workers}
    assert all(each.startswith("10.50.0.") for each in both)
    for name in ("web", "tasks.web", "site"):
        eventually(lambda name=name: named(first, "asker", name) == both, f"{name} is known on the first host")
    for each in both:
        eventually(lambda each=each: reaches(first, "asker", each), f"{each} is reached from the first host")
    eventually(lambda: named(second, "web", "asker"), "who came later is known on the second host")

    swarm.docker("node", "update", "--availability", "drain", "host-2")
    eventually(lambda: named(first, "asker", "web") == {address(first, "web", "inside")}, "the other one is forgotten")

    assert "in use" in swarm.docker("network", "rm", "inside", code=1)
    swarm.docker("service", "rm", "web", "asker")
    eventually(lambda: swarm.skep.client("network", "rm", "inside").returncode == 0, "it is removed")
    eventually(lambda: not any(row["Name"] == "inside" for row in first.rows("network", "ls")), "also on the host")


def test_a_service_has_one_address_beside_those_of_its_tasks(swarm_of: Begin, need: Callable[[str], None]) -> None:
    need("VXLAN")
    swarm = swarm_of(2)
    first = swarm.workers[0]
    swarm.docker("network", "create", "--driver", "overlay", "--subnet", "10.60.0.0/24", "inside")
    swarm.create("web", "--network", "inside", "--mode", "global", "app:v1")
    swarm.await_running("web", 2)
    vips = [one["Addr"] for one in swarm.show("service", "web")["Endpoint"]["VirtualIPs"]]
    both = {address(engine, "web", "inside") for engine in swarm.workers}
    assert len(both) == 2
    eventually(lambda: [*named(first, "web", "web")] == [vips[0].split("/")[0]], "its name is the virtual address")
    eventually(lambda: named(first, "web", "tasks.web") == both, "the names of its tasks are theirs")
    assert vips[0].split("/")[0] not in both


def test_a_virtual_address_leads_to_the_tasks(swarm_of: Begin, need: Callable[[str], None]) -> None:
    need("VXLAN")
    need("IPVS")
    swarm = swarm_of(2)
    swarm.docker("network", "create", "--driver", "overlay", "inside")
    swarm.create("web", "--network", "inside", "--mode", "global", "app:v1")
    swarm.await_running("web", 2)
    vip = swarm.show("service", "web")["Endpoint"]["VirtualIPs"][0]["Addr"].split("/")[0]
    eventually(lambda: reaches(swarm.workers[0], "web", vip), "it leads to a task")


def test_a_published_port_leads_to_a_service_from_every_host(swarm_of: Begin, need: Callable[[str], None]) -> None:
    need("VXLAN")
    need("IPVS")
    swarm = swarm_of(2)
    swarm.create("web", "--publish", "8080:80", "app:v1")
    swarm.await_running("web", 1)
    for engine in swarm.workers:
        eventually(lambda engine=engine: fetched(swarm, engine, 8080) == "app v1\n", "it leads to the task")


def test_an_encrypted_network_reaches_across_hosts(swarm_of: Begin, need: Callable[[str], None]) -> None:
    need("VXLAN")
    need("ESP")
    swarm = swarm_of(2)
    swarm.docker("network", "create", "--driver", "overlay", "--opt", "encrypted", "inside")
    swarm.create("web", "--network", "inside", "--endpoint-mode", "dnsrr", "--mode", "global", "app:v1")
    swarm.await_running("web", 2)
    there = address(swarm.workers[1], "web", "inside")
    eventually(lambda: reaches(swarm.workers[0], "web", there), "it is reached")
    assert "proto esp" in swarm.workers[0].machine.run("ip", "xfrm", "state")


def test_ports_of_the_hosts_lead_to_the_tasks_there(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    swarm.create("web", "--mode", "global", "--publish", "mode=host,target=80,published=8080", "app:v1")
    swarm.await_running("web", 2)
    assert [fetched(swarm, engine, 8080) for engine in swarm.workers] == ["app v1\n"] * 2
    swarm.create("other", "--publish", "mode=host,target=80,published=8080", "app:v2")
    taken = "host-mode port already in use on 2 nodes"
    eventually(lambda: any(taken in row["Error"] for row in swarm.tasks("other")), "there is no host left for another")

    swarm.create("any", "--publish", "mode=host,target=80", "--constraint", "node.hostname==host-2", "app:v2")
    ports = swarm.await_running("any", 1)[0]["Ports"]
    assert (found := re.fullmatch(r"\*:(\d+)->80/tcp,\*:\1->80/tcp", ports)), ports  # for each family of addresses
    assert fetched(swarm, second, int(found[1])) == "app v2\n"

    swarm.docker("service", "rm", "web")
    assert (
        fetched(swarm, first if swarm.await_running("other", 1)[0]["Node"] == "host-1" else second, 8080) == "app v2\n"
    )


def fetched(swarm: Swarm, engine: Engine, port: int) -> str:
    """Return what the manager's machine gets of an app at a port of an engine's host."""
    url = f"http://{engine.address}:{port}/version"
    return swarm.skep.machine.run(*FETCH, url, code=None)
