"""Attachable networks: containers that a person runs with `docker run --network`, on any engine of the swarm."""

import contextlib
from typing import Any

import pytest

from tests.acceptance.daemon import UnixConnection, eventually
from tests.engines.engine import Engine
from tests.engines.swarm import Begin, Swarm, containers

pytestmark = pytest.mark.timeout(300)

TASKS = "/v1.41/tasks?filters=%7B%22runtime%22%3A%5B%22attachment%22%5D%7D"


def create(swarm: Swarm, name: str, *options: str) -> str:
    """Make a network of the swarm; return its id."""
    return swarm.docker("network", "create", "--driver", "overlay", *options, name).strip()


def run(engine: Engine, name: str, *options: str, network: str = "inside") -> str:
    """Run a container as a person does; return its address on the network."""
    engine.docker("run", "--detach", "--name", name, "--network", network, *options, "app:v1")
    return address(engine, name, network)


def refused(engine: Engine, *options: str) -> str:
    """Return what the client says where a container cannot be run."""
    return engine.docker("run", "--rm", *options, "app:v1", code=125)


def address(engine: Engine, name: str, network: str = "inside") -> str:
    return str(engine.show("inspect", name)["NetworkSettings"]["Networks"][network]["IPAddress"])


def tasks(swarm: Swarm) -> list[dict[str, Any]]:
    """Return the tasks of containers that the swarm has on networks; the client lists none of them."""
    with contextlib.closing(UnixConnection(swarm.skep.socket)) as connection:
        found: list[dict[str, Any]] = connection.ask("GET", TASKS).value
    return found


def attached(swarm: Swarm) -> list[str]:
    """Return the addresses of those containers."""
    return sorted(task["NetworksAttachments"][0]["Addresses"][0].partition("/")[0] for task in tasks(swarm))


def states(swarm: Swarm) -> list[str]:
    return [task["Status"]["State"] for task in tasks(swarm)]


def reaches(engine: Engine, name: str, other: str, there: str) -> None:
    """See that a container finds another by name, at that address, and reaches it."""
    inside = ("exec", name)
    eventually(lambda: there in engine.client(*inside, "nslookup", other).stdout.decode(), f"{name} finds {other}")
    eventually(lambda: engine.client(*inside, "ping", "-c", "1", "-W", "1", there).returncode == 0, "it is reached")
    assert engine.docker(*inside, "wget", "-qO-", f"http://{there}/version") == "app v1\n"


def test_containers_on_two_engines_reach_each_other_by_name_and_leave_nothing(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    network = create(swarm, "inside", "--attachable", "--subnet", "10.50.0.0/24")
    here, there = run(first, "one"), run(second, "two")
    reaches(first, "one", "two", there)
    reaches(second, "two", "one", here)
    assert attached(swarm) == sorted((here, there))
    eventually(lambda: states(swarm) == ["running"] * 2, "both are said to run")
    assert f"network {network} is in use by task" in swarm.docker("network", "rm", "inside", code=1)

    first.docker("rm", "--force", "one")
    second.docker("rm", "--force", "two")
    eventually(lambda: not attached(swarm), "nobody is on the network")
    eventually(lambda: not swarm.node(first).get("Attachments"), "their nodes have no addresses")
    swarm.docker("network", "rm", "inside")
    # it is gone from the engines too
    eventually(lambda: "inside" not in first.docker("network", "ls") + second.docker("network", "ls"), "it is gone")


def test_what_cannot_be_joined_is_refused_at_once_and_says_why(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    engine = swarm.workers[0]
    create(swarm, "closed")
    create(swarm, "inside", "--attachable", "--subnet", "10.50.0.0/29")
    words = "Could not attach to network closed: rpc error: code = PermissionDenied desc = network closed not manually"
    assert words in refused(engine, "--network", "closed")
    assert "network nowhere not found" in refused(engine, "--network", "nowhere")
    assert run(engine, "one", "--ip", "10.50.0.5") == "10.50.0.5"
    assert "address 10.50.0.5 of network inside is in use" in refused(
        engine, "--network", "inside", "--ip", "10.50.0.5"
    )
    words = "address 10.51.0.1 is none that network inside gives"
    assert words in refused(engine, "--network", "inside", "--ip", "10.51.0.1")
    for number in range(3):
        run(engine, f"more-{number}")
    assert "no address left on network inside" in refused(engine, "--network", "inside")
    engine.docker("rm", "--force", "more-0")
    eventually(lambda: len(attached(swarm)) == 3, "one is free")
    run(engine, "again")
    assert engine.docker("ps", "--all", "--quiet", "--filter", "status=created") == ""


def test_containers_of_persons_and_of_services_find_each_other(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    create(swarm, "inside", "--attachable")
    on = ("--constraint", f"node.hostname=={second.machine.name}")
    swarm.create("web", "--network", "inside", "--endpoint-mode", "dnsrr", *on, "app:v1")
    swarm.await_running("web", 1)
    here = run(first, "one")
    web = next(iter(containers(second, "web")))
    there = str(second.show("inspect", web)["NetworkSettings"]["Networks"]["inside"]["IPAddress"])
    reaches(first, "one", "tasks.web", there)
    reaches(second, web, "one", here)
    first.docker("network", "disconnect", "inside", "one")
    eventually(lambda: not attached(swarm), "it has left")
    first.docker("network", "connect", "inside", "one")
    assert attached(swarm) == [address(first, "one")]


def test_an_engine_that_was_stopped_attaches_its_containers_anew(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    create(swarm, "inside", "--attachable")
    run(first, "one", "--restart", "always")
    run(first, "not-again")
    there = run(second, "two")
    first.stop()
    first.start()
    eventually(lambda: first.show("inspect", "one")["State"]["Running"], "it runs again")
    reaches(first, "one", "two", there)
    here = address(first, "one")
    eventually(lambda: attached(swarm) == sorted((here, there)), "both are attached, and no other")
    reaches(second, "two", "one", here)


def test_an_engine_that_was_killed_has_attached_what_runs_on_it_and_nothing_else(swarm_of: Begin) -> None:
    """It may fail to start its container again, at a manager of its own kind too: it waits long for its former self."""
    swarm = swarm_of(2)
    first, second = swarm.workers
    create(swarm, "inside", "--attachable")
    run(first, "one", "--restart", "always")
    there = run(second, "two")
    first.kill()
    first.start()

    def running() -> list[str]:
        return [address(first, "one"), there] if first.docker("ps", "--quiet") else [there]

    eventually(lambda: attached(swarm) == sorted(running()), "what runs is attached, and nothing else")
    first.docker("rm", "--force", "one")
    eventually(lambda: attached(swarm) == [there], "it has left")
    eventually(lambda: "inside" not in first.docker("network", "ls"), "it has forgotten the network")
    here = run(first, "one")
    reaches(first, "one", "two", there)
    reaches(second, "two", "one", here)


def test_a_manager_that_starts_again_leaves_them_alone(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    create(swarm, "inside", "--attachable")
    here, there = run(first, "one"), run(second, "two")
    began = first.show("inspect", "one")["State"]["StartedAt"]
    eventually(lambda: states(swarm) == ["running"] * 2, "both are said to run")
    swarm.skep.kill()
    second.docker("rm", "--force", "two")  # and its engine cannot say that it is gone
    swarm.skep.start()
    eventually(lambda: set(swarm.nodes().values()) == {"Ready"}, "all nodes are back")
    eventually(lambda: attached(swarm) == [here], "what is gone is forgotten")
    assert first.show("inspect", "one")["State"]["StartedAt"] == began
    again = run(second, "two")
    assert again != there
    reaches(first, "one", "two", again)


def test_the_engine_of_the_managers_machine_attaches_too(swarm_of: Begin) -> None:
    swarm = swarm_of(1, local=True)
    (worker,) = swarm.workers
    network = create(swarm, "inside", "--attachable")
    here, there = run(swarm.skep, "one"), run(worker, "two")
    reaches(swarm.skep, "one", "two", there)
    shown = swarm.skep.show("network", "inspect", "inside")
    assert [one["Name"] for one in shown["Containers"].values() if one["Name"] != "inside-endpoint"] == ["one"]
    assert (shown["Id"], attached(swarm)) == (network, sorted((here, there)))
    swarm.docker("rm", "--force", "one")
    eventually(lambda: attached(swarm) == [there], "it has left")
