"""A task on a network is assigned when its agent knows the node's address there: not before, and not at once."""

import anyio
import anyio.lowlevel
import pytest
import skep
from skep.model.ids import NetworkId
from skep.runtime import attached
from skep.runtime.attached import SETTLES_S, Attached

ONE, OTHER = NetworkId("one"), NetworkId("other")


async def test_what_an_agent_has_long_known_is_not_waited_for() -> None:
    known = Attached()
    known.told([ONE])
    await anyio.sleep(SETTLES_S)
    known.told([ONE, OTHER])
    started = anyio.current_time()
    await known.known([ONE])
    await known.known([])
    assert anyio.current_time() - started < SETTLES_S


async def test_an_agent_is_given_the_time_to_take_up_what_it_was_told() -> None:
    known = Attached()
    async with anyio.create_task_group() as group:
        group.start_soon(known.known, [ONE])
        await anyio.lowlevel.checkpoint()
        started = anyio.current_time()
        known.told([ONE])
    assert anyio.current_time() - started >= SETTLES_S


async def test_what_is_taken_away_and_given_again_is_new() -> None:
    known = Attached()
    known.told([ONE])
    await anyio.sleep(SETTLES_S)
    known.told([])
    known.told([ONE])
    started = anyio.current_time()
    await known.known([ONE])
    assert anyio.current_time() - started >= SETTLES_S / 2


async def test_a_network_without_an_address_left_holds_nothing_up_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attached, "WAIT_S_MAX", 0.05)
    with anyio.fail_after(5):
        await Attached().known([ONE])


async def test_a_task_on_a_network_of_each_nodes_own_waits_for_no_address() -> None:
    async with skep.Cluster.open(nodes=1) as cluster:
        await cluster.services.create(skep.service_spec("web", "demo", networks=["host"]))
        with anyio.fail_after(attached.WAIT_S_MAX / 2):
            await cluster.converged("web")
