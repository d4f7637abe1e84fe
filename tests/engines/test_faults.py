"""What happens to services when engines, links and skep itself fail, stop, and come back."""

import time
from collections.abc import Sequence

import pytest

from tests.acceptance.daemon import eventually
from tests.engines.engine import Engine
from tests.engines.swarm import Begin, Swarm, containers, everywhere

pytestmark = pytest.mark.timeout(300)

#: Longer than anything is done late here: heartbeats, restarts.
SETTLED_S = 2.0


def nothing_changes(swarm: Swarm, engines: Sequence[Engine], name: str, count: int) -> None:
    """See that so many containers run, and the same ones a while later."""
    eventually(lambda: len(everywhere(engines, name)) == count, f"{count} containers of {name} are there")
    before = everywhere(engines, name), {row["ID"] for row in swarm.tasks(name)}
    time.sleep(SETTLED_S)
    assert (everywhere(engines, name), {row["ID"] for row in swarm.tasks(name)}) == before


def spread(swarm: Swarm) -> dict[str, str]:
    """Begin a service of four tasks; return its containers."""
    swarm.create("web", "--replicas", "4", "--restart-delay", "100ms", "app:v1")
    swarm.await_running("web", 4)
    return everywhere(swarm.workers, "web")


def test_a_node_that_is_drained_keeps_no_task_and_a_paused_one_gets_none(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    spread(swarm)
    stay = containers(first, "web")
    swarm.docker("node", "update", "--availability", "drain", "host-2")
    eventually(lambda: not containers(second, "web"), "it has none any more")
    swarm.await_running("web", 4)
    assert stay.items() <= containers(first, "web").items()
    assert len(containers(first, "web")) == 4

    swarm.docker("node", "update", "--availability", "pause", "host-1")
    swarm.docker("service", "scale", "--detach", "web=6")
    waits = "no suitable node (3 nodes not available for new tasks)"
    eventually(lambda: sum(waits in row["Error"] for row in swarm.tasks("web")) == 2, "the new ones wait")
    assert len(containers(first, "web")) == 4
    swarm.docker("node", "update", "--availability", "active", "host-2")
    swarm.await_running("web", 6)
    assert [len(containers(engine, "web")) for engine in swarm.workers] == [4, 2]


def test_tasks_of_an_engine_that_was_killed_run_elsewhere_and_are_not_doubled_when_it_is_back(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    spread(swarm)
    stay = containers(first, "web")
    second.kill()
    swarm.await_state(second, "Down")
    swarm.await_running("web", 4)
    assert len(containers(first, "web")) == 4
    assert stay.items() <= containers(first, "web").items()
    second.start()
    swarm.await_state(second, "Ready")
    nothing_changes(swarm, swarm.workers, "web", 4)
    assert containers(second, "web") == {}
    # and it is of use again
    swarm.docker("service", "scale", "--detach", "web=8")
    swarm.await_running("web", 8)
    assert len(containers(second, "web")) == 4


def test_a_machine_that_is_gone_for_good_is_replaced(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    spread(swarm)
    second.machine.end()
    swarm.await_state(second, "Down")
    swarm.await_running("web", 4)
    assert len(containers(first, "web")) == 4
    swarm.docker("node", "rm", "host-2")
    assert sorted(swarm.nodes()) == ["host-1", "manager"]


def test_no_task_is_doubled_for_ever_when_a_link_was_cut(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    first, second = swarm.workers
    spread(swarm)
    there = containers(second, "web")
    swarm.rig.lan.cut(second.machine)
    swarm.await_state(second, "Down")
    swarm.await_running("web", 4)
    assert len(containers(first, "web")) == 4
    assert containers(second, "web") == there  # nobody could tell it
    swarm.rig.lan.repair(second.machine)
    swarm.await_state(second, "Ready")
    eventually(lambda: not containers(second, "web"), "what was replaced has ended")
    nothing_changes(swarm, swarm.workers, "web", 4)


def test_a_link_that_was_cut_for_a_moment_costs_no_task(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    swarm.docker("swarm", "update", "--dispatcher-heartbeat", "10s")
    before = spread(swarm)
    swarm.rig.lan.cut(swarm.workers[0].machine)
    time.sleep(SETTLED_S)
    swarm.rig.lan.repair(swarm.workers[0].machine)
    swarm.docker("service", "scale", "web=5")
    assert swarm.nodes()["host-1"] == "Ready"
    assert before.items() <= everywhere(swarm.workers, "web").items()


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_agents_come_back_to_skep_and_nothing_was_restarted(swarm_of: Begin, end: str) -> None:
    swarm = swarm_of(2)
    before = spread(swarm)
    tasks = swarm.tasks("web")
    getattr(swarm.skep, end)()
    swarm.skep.start()
    eventually(lambda: swarm.nodes() == dict.fromkeys(swarm.nodes(), "Ready"), "all agents are back")
    nothing_changes(swarm, swarm.workers, "web", 4)
    assert everywhere(swarm.workers, "web") == before
    assert [(row["ID"], row["Node"]) for row in swarm.tasks("web")] == [(row["ID"], row["Node"]) for row in tasks]
    swarm.docker("service", "scale", "web=7")
    assert before.items() <= everywhere(swarm.workers, "web").items()
    assert len(everywhere(swarm.workers, "web")) == 7


def test_what_ended_while_skep_was_down_is_replaced_when_it_is_back(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    engine = swarm.workers[0]
    before = spread(swarm)
    swarm.skep.kill()
    ended = next(iter(before))
    engine.docker("rm", "--force", ended)
    swarm.skep.start()
    eventually(lambda: len(containers(engine, "web")) == 4, "it is replaced")
    nothing_changes(swarm, swarm.workers, "web", 4)
    assert {*before} - {*containers(engine, "web")} == {ended}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_tasks_of_an_engine_that_is_restarted_fail_and_are_replaced(swarm_of: Begin, end: str) -> None:
    swarm = swarm_of(2)
    swarm.docker("swarm", "update", "--dispatcher-heartbeat", "20s")  # it is back before it counts as down
    first, second = swarm.workers
    spread(swarm)
    stay, lost = containers(first, "web"), containers(second, "web")
    old = {row["ID"] for row in swarm.tasks("web") if row["Node"] == "host-2"}
    getattr(second, end)()
    second.start()
    eventually(lambda: not lost.keys() & containers(second, "web").keys(), "its containers are others")
    swarm.await_running("web", 4)
    nothing_changes(swarm, swarm.workers, "web", 4)
    assert not old & {row["ID"] for row in swarm.running("web")}
    assert stay.items() <= containers(first, "web").items()
