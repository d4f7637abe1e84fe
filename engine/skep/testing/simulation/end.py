"""The end of a story: no faults any more, everything comes to rest, and all that must hold is looked at."""

import anyio
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from skep.core.codec import encode_state
from skep.core.commands import RemoveNode, UpdateNode
from skep.core.invariants import check, story
from skep.core.plan import PLANS, every_key
from skep.core.record import Actor
from skep.core.state import ClusterState
from skep.history.verify import verify
from skep.model.ids import START, NodeId, Position
from skep.model.states import Availability, TaskState
from skep.ports.event_log import Head
from skep.runtime.cluster import Cluster
from skep.runtime.recovery import state_at
from skep.runtime.writer import Writer
from skep.testing.simulation.always import Failed
from skep.testing.simulation.machine import Machine
from skep.testing.simulation.planned import check_planned
from skep.testing.simulation.rest import Person, lack_of
from skep.testing.simulation.trusting import check_keys, distrust, give_up
from skep.testing.simulation.world import World
from skep.testing.sources import NumberedIds

#: How long the swarm is waited for at the end, in its own time, and how often it is looked at.
REST_S = 600.0
LOOK_S = 2.0

#: How often a node that runs something is removed by force at the end: nothing of that may stay on its machine.
REMOVED = 0.3


class _Input(Struct):
    id: str = ""


class _SentAs(Struct):
    """All of a record that `judge` needs: decoding the rest of every record would cost a tenth of a story."""

    input: _Input


_sent_as = msgspec.json.Decoder(_SentAs)


async def come_to_rest(world: World, cluster: Cluster, person: Actor, *, verified: bool) -> None:
    """Stop all faults, let people put right what can never come to rest, and wait until all does.

    Raises:
        Failed: it does not, or plans are not content then.
    """
    writer = cluster.engine.writer
    await world.mend(writer.state)
    for node in list(await cluster.nodes.list()):
        await writer.submit(
            UpdateNode(node.id, node.version, replace(node.spec, availability=Availability.ACTIVE)), actor=person
        )
    if world.random.random() < REMOVED and (busy := await cluster.read(_busy)):
        await writer.submit(RemoveNode(world.random.choice(busy), force=True), actor=person)
    lack, human = ("?", ""), Person()
    with anyio.move_on_after(REST_S):
        while lack[0]:
            # again and again: a rollback may bring an image that cannot run
            for command in await cluster.read(lambda state: give_up(world, state)):
                await writer.submit(command, actor=person)
            for command in await cluster.read(lambda state: human.put_right(state, anyio.current_time())):
                await writer.submit(command, actor=person)
            await anyio.sleep(LOOK_S)
            lack = await cluster.read(lambda state: _look(world, writer, state))
    if lack[0]:
        raise Failed(f"it does not come to rest: {lack[0]}\n{story(writer.state, lack[1])}")
    _check_content(world, writer)
    check(writer.state)
    check_planned(writer.state)
    await check_keys(cluster, cluster.engine.store)
    if not verified:
        return
    live, at = await cluster.read(lambda state: (encode_state(state), state.position))
    if encode_state(await state_at(cluster.engine.store.log, None, Position(at))) != live:
        raise Failed("the engine's memory is not what its log says")


async def judge(world: World, acknowledged: dict[str, Position], *, verified: bool) -> Head:
    """Look at the log, and return its head.

    Raises:
        Failed: something that was acknowledged is not there, or is there twice; or the log is not whole.
    """
    store = await world.disk.latest()
    if store is None:
        raise Failed("nothing was kept")
    if verified:
        report = await verify(store)
        if report.problems:
            raise Failed("\n".join(report.problems))
    head = await store.log.head()
    found: dict[str, Position] = {}
    for each in await store.log.read(START, limit=head.position):
        command_id = _sent_as.decode(each.body).input.id
        if command_id in found:
            raise Failed(f"{command_id} was done twice, last at {each.position}")
        if command_id:
            found[command_id] = each.position
    for command_id, at in acknowledged.items():
        if found.get(command_id) != at:
            raise Failed(f"{command_id} was acknowledged at {at}, and is at {found.get(command_id)}")
    return head


def _look(world: World, writer: Writer, state: ClusterState) -> tuple[str, str]:
    """Say what is not at rest yet, and of whom that is the story; empty if all is."""
    if not writer.wakes.idle:
        return "plans are due", ""
    check_planned(state)
    for service_id in state.service_tasks:
        if service_id not in state.services:
            return f"tasks are left of {service_id}", service_id
    for service in state.services.values():
        if lack := lack_of(state, service):
            return lack, service.id
    for machine in world.machines.values():
        if lack := _difference(state, machine) or distrust(state, machine):
            return lack, machine.node_id
    if state.cluster is not None and state.cluster.rotation is not None:
        return "the root is being replaced", ""
    return "", ""


def _busy(state: ClusterState) -> list[NodeId]:
    """Return the workers on which tasks run."""
    workers = [node.id for node in state.nodes.values() if node.manager is None]
    return [i for i in workers if any(task.state is TaskState.RUNNING for task in state.tasks_on(i))]


def _difference(state: ClusterState, machine: Machine) -> str:
    """Say in what the tasks on a member's machine differ from those that are known to be there."""
    kept = {} if machine.executor is None else dict.fromkeys(task.id for task in machine.executor.kept())
    known = {task.id: task.state for task in state.tasks_on(machine.node_id)}
    known |= {one.id: one.status.state for one in state.attachments.values() if one.node_id == machine.node_id}
    lost = [task_id for task_id, seen in known.items() if seen is TaskState.RUNNING and task_id not in kept]
    # what is known of tasks on a node that was removed is history
    left = [task_id for task_id in kept if task_id not in known or machine.node_id not in state.nodes]
    return f"{machine.name} does not run {lost}, and keeps {left}" if lost or left else ""


def _check_content(world: World, writer: Writer) -> None:
    if writer.wakes.due():
        raise Failed(f"at rest, and these are due: {writer.wakes.due()}")
    for plan, key in every_key(writer.state):
        wants = PLANS[plan](writer.state, key, world.clock.now(), NumberedIds("probe"))
        if wants.commands:
            raise Failed(f"at rest, and plan {plan}({key}) wants {wants.commands}\n{story(writer.state, key)}")
