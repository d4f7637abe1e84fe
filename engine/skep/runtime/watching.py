"""Watching a cluster: what changed, and what is still missing."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import anyio

from skep.core.changes import Change, describe
from skep.core.codec import decode_record
from skep.core.fold import begin, evolve
from skep.core.lookup import find_service
from skep.core.state import ClusterState
from skep.model.ids import NANOSECONDS, START, Instant
from skep.model.service import Service
from skep.model.states import UpdateState
from skep.runtime.engine import Engine
from skep.runtime.turn import Durable

#: A watcher that lags so many changes behind is told so instead of filling the memory.
LAG_MAX = 10_000

GOING = frozenset({UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED})


class Lagging(Exception):
    """The watcher was too slow; begin again with `since`."""


async def durable(engine: Engine) -> AsyncGenerator[None, None]:
    """Yield at once, and then after each group that became durable; groups that come meanwhile count as one."""
    event = anyio.Event()

    def tell(_: Durable) -> None:
        event.set()

    engine.writer.on_durable.append(tell)
    try:
        while True:
            event = anyio.Event()
            yield
            await event.wait()
    finally:
        engine.writer.on_durable.remove(tell)


async def changes(engine: Engine, *, since: Instant | None, until: Instant | None) -> AsyncIterator[Change]:
    """Yield changes in order: from the log's first record on if `since` is given, else from now on."""
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
    async for recorded in engine.store.log.follow(START):
        record = decode_record(recorded.body)
        begin(state, record.position, record.time, record.command_id)
        for event in record.events:
            for change in describe(state, record.position, record.time, event):
                yield change
            evolve(state, event)
        state.take_touched()


async def _live(engine: Engine) -> AsyncGenerator[Change, None]:
    send, receive = anyio.create_memory_object_stream[Change](LAG_MAX)
    lagging = False

    def tell(group: Durable) -> None:
        nonlocal lagging
        try:
            for change in group.changes:
                send.send_nowait(change)
        except anyio.WouldBlock:
            lagging = True
            send.close()

    engine.writer.on_durable.append(tell)
    try:
        with receive:
            async for change in receive:
                yield change
    finally:
        send.close()
        engine.writer.on_durable.remove(tell)
    if lagging:
        raise Lagging(f"more than {LAG_MAX} changes behind")


def missing(state: ClusterState, ref: str | None) -> str:
    """Return in words what a service, or any, still lacks; empty if nothing."""
    services = list(state.services.values()) if ref is None else [find_service(state, ref)]
    return "; ".join(lack for service in services if (lack := _lack(state, service)))


def _lack(state: ClusterState, service: Service) -> str:
    index = state.service_tasks.get(service.id)
    given_up = len(state.given_up.get(service.id, {}))
    wanted = max(0, (service.spec.replicas or 0) - given_up)
    current = index.wanted_by_spec.get(service.spec_version, {}) if index else {}
    running = sum(state.tasks[i].state.word == "running" for i in current)
    name = service.spec.name
    if service.update_status is not None and service.update_status.state in GOING:
        return f"{name} is {service.update_status.state}"
    if running == wanted and (index is None or index.running == wanted):
        return ""
    reasons = {state.tasks[i].status.err: None for i in current if state.tasks[i].status.err}
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return f"{name} runs {running} of {wanted} tasks{because}"
