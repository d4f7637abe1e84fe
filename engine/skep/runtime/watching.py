"""Watching a cluster: what changed, and what is still missing."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import anyio

from skep.core.changes import Change, describe
from skep.core.codec import decode_record
from skep.core.fold import begin, evolve
from skep.core.lookup import find_service
from skep.core.record import Record
from skep.core.state import ClusterState
from skep.core.tally import lack
from skep.model.ids import NANOSECONDS, START, Instant, NodeId, Position, ServiceId
from skep.model.states import NodeState
from skep.ports.event_log import LogError, Recorded
from skep.runtime.engine import Engine
from skep.runtime.turn import Durable

#: A watcher that lags so many changes behind is told so instead of filling the memory.
LAG_MAX = 10_000

#: Records read at once.
BATCH = 128


class Lagging(Exception):
    """The watcher was too slow; begin again with `since`."""


async def durable(engine: Engine) -> AsyncGenerator[None, None]:
    """Yield at once, and then after each group that became durable; groups that come meanwhile count as one.

    It ends with the engine.
    """
    writer = engine.writer
    event = anyio.Event()

    def tell(_: Durable | None = None) -> None:
        event.set()

    writer.on_durable.append(tell)
    writer.on_ended.append(tell)
    try:
        while not writer.has_ended:
            event = anyio.Event()
            yield
            if not writer.has_ended:
                await event.wait()
    finally:
        writer.on_durable.remove(tell)
        writer.on_ended.remove(tell)


async def ready(engine: Engine, node_id: NodeId) -> None:
    """Return when a node is ready, or no member any more, or the engine has ended."""
    async with aclosing(durable(engine)) as groups:
        async for _ in groups:
            if node_id not in engine.writer.state.nodes or is_ready(engine.writer.state, node_id):
                return


def is_ready(state: ClusterState, node_id: NodeId) -> bool:
    """Return whether there is such a node, and it is ready."""
    node = state.nodes.get(node_id)
    return node is not None and node.status.state is NodeState.READY


async def changes(engine: Engine, *, since: Instant | None, until: Instant | None) -> AsyncIterator[Change]:
    """Yield changes in order: from the log's first record on if `since` is given, else from now on.

    They end with the engine.
    """
    source = _past(engine) if since is not None else _live(engine)
    async with aclosing(source):
        while True:
            change = None
            # the scope lies around one step only: a scope must not outlive a yield
            with anyio.move_on_after(_seconds_to(engine, until)):
                change = await anext(source, None)
            if change is None or (until is not None and change.time > until):
                return
            if since is None or change.time >= since:
                yield change


def _seconds_to(engine: Engine, until: Instant | None) -> float | None:
    # an instant that has passed still gives what is in the log a moment to be read
    return None if until is None else max(1.0, (until - engine.clock.now()) / NANOSECONDS)


async def _past(engine: Engine) -> AsyncGenerator[Change, None]:
    """Fold the whole log beside the engine: what it says of an event depends on the state before."""
    state = ClusterState()
    async with aclosing(records(engine, START)) as past:
        async for record in past:
            begin(state, record.position, record.time, record.command_id)
            for event in record.events:
                for change in describe(state, record.position, record.time, event):
                    yield change
                evolve(state, event)
            state.take_touched()


async def records(engine: Engine, after: Position) -> AsyncGenerator[Record, None]:
    """Yield every record after a position, and then each new one when it is durable. It ends with the engine."""
    async with aclosing(durable(engine)) as groups:
        goes_on = True
        while goes_on:
            goes_on = await anext(groups, False) is None  # when it ended, what came last is still to be read
            while batch := await _read(engine, after):
                for recorded in batch:
                    yield decode_record(recorded.body)
                    after = recorded.position
                    # a record may tell of thousands of tasks: the loop is the engine's, too
                    await anyio.lowlevel.checkpoint()


async def _read(engine: Engine, after: Position) -> Sequence[Recorded]:
    try:
        return await engine.store.log.read(after, limit=BATCH)
    except LogError:
        if engine.writer.has_ended:  # its log was closed under our eyes
            return ()
        raise


async def _live(engine: Engine) -> AsyncGenerator[Change, None]:
    send, receive = anyio.create_memory_object_stream[Change](LAG_MAX)
    writer = engine.writer
    lagging = False

    def tell(group: Durable) -> None:
        nonlocal lagging
        if lagging:
            return
        try:
            for change in group.changes:
                send.send_nowait(change)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            lagging = True
            send.close()

    writer.on_durable.append(tell)
    writer.on_ended.append(send.close)
    try:
        if writer.has_ended:
            return
        async for change in receive:
            yield change
    finally:
        writer.on_durable.remove(tell)
        writer.on_ended.remove(send.close)
        send.close()
        receive.close()
    if lagging:
        raise Lagging(f"more than {LAG_MAX} changes behind")


def called(state: ClusterState, ref: str) -> list[ServiceId]:
    """Return the ids of what is called so: a service by its id or name, or removed ones that tasks are left of."""
    service_id = ServiceId(ref)
    if remains(state, service_id):
        return [service_id]
    if (named := state.service_names.get(ref.lower())) is not None:
        return [named]
    removed = (service_id for service_id in state.service_tasks if service_id not in state.services)
    return [i for i in removed if any(state.template_of(task).service_name == ref for task in state.tasks_of(i))]


def remains(state: ClusterState, service_id: ServiceId) -> bool:
    """Return whether anything is left of a service: itself, or a task of it."""
    return service_id in state.services or service_id in state.service_tasks


def missing(state: ClusterState, ref: str | None) -> str:
    """Return in words what a service, or any, still lacks; empty if nothing."""
    services = list(state.services.values()) if ref is None else [find_service(state, ref)]
    return "; ".join(what for service in services if (what := lack(state, service)))
