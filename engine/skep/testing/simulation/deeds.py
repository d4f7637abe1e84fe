"""What people do that is more than one command: they change tokens and roots, and machines join, leave and come back.

A deed is one function with `@done`: it returns whether there was anything to do. What the engine cannot do now is an
`EngineError`, and what it will not do a `Rejected`, as of commands.
"""

from collections.abc import Awaitable, Callable

import anyio
from msgspec.structs import replace

from skep.core.record import Actor
from skep.core.state import ClusterState
from skep.model.states import Availability
from skep.model.swarm import CaConfig
from skep.runtime.cluster import Cluster
from skep.runtime.engine import Engine
from skep.runtime.membership import Refusal, Refused
from skep.testing.simulation.always import Failed
from skep.testing.simulation.machine import Machine
from skep.testing.simulation.operators import NODES_MAX
from skep.testing.simulation.papers import Papers
from skep.testing.simulation.world import World

Deed = Callable[[World, Cluster], Awaitable[bool]]

#: The kinds of deeds, each as often as it is done.
DEEDS: list[Deed] = []

PERSON = Actor("person", "somebody", "simulation")

#: How often somebody joins by the token that they wrote down before the last one.
WRITTEN_DOWN = 0.3


def done(times: int) -> Callable[[Deed], Deed]:
    """Have people do this, so many times as often as what is done once."""

    def add(deed: Deed) -> Deed:
        DEEDS.extend([deed] * times)
        return deed

    return add


async def do(world: World, cluster: Cluster) -> None:
    """Do something of which there is anything to do."""
    while not await world.random.choice(DEEDS)(world, cluster):
        await anyio.lowlevel.checkpoint()


# --- the swarm


@done(2)
async def rotate_token(world: World, cluster: Cluster) -> bool:
    """Make the token of workers worthless, and sometimes that of managers."""
    before, _ = await cluster.swarm.tokens()
    swarm = await cluster.swarm.inspect()
    both = world.random.random() < 1 / 2
    await cluster.swarm.update(
        swarm.version, swarm.spec, rotate_worker_token=True, rotate_manager_token=both, actor=PERSON
    )
    after, _ = await cluster.swarm.tokens()
    if after == before:
        raise Failed("the token of workers was rotated, and is the same")
    if swarm.tokens.worker.key_id in await cluster.engine.store.keyring.key_ids():
        raise Failed("the token of workers was rotated, and the former one can still be read")
    world.written_down = before
    world.note("token-rotated")
    return True


@done(2)
async def rotate_root(_: World, cluster: Cluster) -> bool:
    """Have the root replaced, also while it is being replaced."""
    swarm = await cluster.swarm.inspect()
    config = swarm.spec.ca_config or CaConfig()
    spec = replace(swarm.spec, ca_config=replace(config, force_rotate=config.force_rotate + 1))
    await cluster.swarm.update(swarm.version, spec, actor=PERSON)
    return True


# --- machines


@done(5)
async def join_by_token(world: World, cluster: Cluster) -> bool:
    """Put up a machine that joins as an engine does: by a token, sometimes one that was rotated."""
    if len(cluster.engine.writer.state.nodes) >= NODES_MAX:
        return False
    await _admit(world, cluster, world.new_name())
    return True


@done(1)
async def come_back(world: World, cluster: Cluster) -> bool:
    """Have a machine whose node was removed, or whose certificate is worth nothing, leave, and join anew."""
    state = cluster.engine.writer.state
    strays = [one for one in world.machines.values() if not one.gone and _is_stray(world, state, one)]
    if not strays:
        return False
    machine = world.random.choice(strays)
    if machine.papers is not None:
        await _ask_again(world, cluster.engine, machine.papers, machine)
    machine.leave()
    await _admit(world, cluster, machine.name)
    world.note("machine-joined-anew")
    return True


@done(1)
async def take_leave(world: World, cluster: Cluster) -> bool:
    """Have a machine leave the swarm in order: its containers go, and its session ends."""
    on = [machine for machine in world.machines.values() if machine.is_on and not machine.gone]
    session = cluster.engine.dispatcher.sessions.get(world.random.choice(on).node_id) if on else None
    if session is None:
        return False
    machine = world.machines[session.node_id]
    machine.leave()
    await cluster.engine.dispatcher.part(session)
    world.note("worker-left")
    return True


def _is_stray(world: World, state: ClusterState, machine: Machine) -> bool:
    removed = machine.node_id in world.members and machine.node_id not in state.nodes
    return removed or is_locked_out(world, machine)


def is_locked_out(world: World, machine: Machine) -> bool:
    """Whether a certificate is worth nothing through no fault of the engine: by its dates, or by what a disk lost."""
    papers = machine.papers
    return papers is not None and (machine.void or not papers.valid(world.clock.now()))


async def _ask_again(world: World, engine: Engine, papers: Papers, machine: Machine) -> None:
    """Have a removed node ask for a certificate, which it must not get."""
    if await engine.membership.knows(machine.node_id):
        return
    try:
        await engine.membership.renew(machine.node_id, papers.request())
    except Refused as error:
        if error.refusal is Refusal.FORBIDDEN:
            world.note("removed-node-refused-a-certificate")
            return
        raise
    if not await engine.membership.knows(machine.node_id):
        raise Failed(f"node {machine.node_id} was removed, and got a certificate")


async def _admit(world: World, cluster: Cluster, name: str) -> None:
    """Have a machine join by the token that its owner has."""
    before, _ = await cluster.swarm.tokens()
    token = world.written_down if world.written_down and world.random.random() < WRITTEN_DOWN else before
    papers = Papers(world.draw)
    engine = cluster.engine
    known = engine.writer.head.position
    roots = (await cluster.swarm.inspect()).root.certificate
    try:
        issued = await engine.membership.admit(token, papers.request(), addr="", availability=Availability.ACTIVE)
    except Refused as error:
        after, _ = await cluster.swarm.tokens()
        if token in (before, after) and before == after:
            raise Failed(f"the token is good, and was refused: {error}") from error
        world.note("worthless-token-refused")
        return
    after, _ = await cluster.swarm.tokens()
    if token not in (before, after):
        raise Failed(f"node {issued.node_id} was let in by a token that is worth nothing")
    if world.engine is not engine:
        return  # it crashed before the answer came through
    papers.take(issued.certificate, known)
    papers.trust(roots, known)
    papers.known = engine.writer.head.position
    world.put_up(name, issued.node_id, papers)
    world.note("joined-by-token")
