"""What a test does to its swarm. All of it runs in the engine's loop."""

import asyncio
from collections.abc import Mapping

from skep.core.state import ClusterState
from skep.model.ids import NodeId, TaskId
from skep.model.states import TaskState
from skep.model.task import Task

from skep_adapters.pytest_plugin.life import Life

#: How long a failure may take to be known: a process has to be killed for it.
TOLD_S = 10.0

#: How often somebody looks whether the engine can write again.
LOOK_S = 0.05


async def fail_task(life: Life, what: object, message: str, exit_code: int) -> None:
    """Have a running task fail; the swarm knows when this returns, if the task's node can tell it.

    Raises:
        LookupError: there is none.
    """
    life.asked()
    ref = reference(what)
    state = life.cluster.engine.writer.state
    found = [task for task in state.tasks.values() if _is_called(state, task, ref)]
    running = [task for task in found if task.state is TaskState.RUNNING]
    if len(running) > 1:
        raise LookupError(f"{ref!r} is more than one task: {', '.join(task.id for task in running)}")
    if running and life.mischief.fail(running[0].id, message or f"task: non-zero exit ({exit_code})", exit_code):
        task = running[0]
        if not life.disk.full and not life.cables[task.node_id].cut:
            await life.comes(lambda: not _runs(life, task.id), timeout_s=TOLD_S)
        return
    stands = ", ".join(dict.fromkeys(task.state.word for task in found))
    raise LookupError(f"no task {ref!r} runs: {f'it is {stands}' if found else 'there is none'}")


def set_cut(life: Life, what: object, *, cut: bool) -> None:
    """Cut a node off, or let it through again.

    Raises:
        LookupError: there is no such node.
    """
    cable = life.cables[_node(life, reference(what))]
    if cut:
        cable.sever("the cable was cut")
    cable.cut = cut


async def settle(life: Life, timeout_s: float) -> str:
    """Wait until nothing is under way; return what still is after `timeout_s` seconds of the engine's time."""
    await life.comes(lambda: not life.under_way(), timeout_s=timeout_s)
    return life.under_way()


async def make_room(life: Life) -> None:
    """Have room on the disk again, and let the time pass after which the engine tries again."""
    life.disk.mend()
    engine = life.cluster.engine
    with life.loop.flying():
        while engine.writer.refuses:  # noqa: ASYNC110 - it tells nobody that it takes commands again
            await asyncio.sleep(LOOK_S)


async def pass_by(life: Life, seconds: float) -> None:
    """Let time pass at once."""
    life.asked()
    with life.loop.flying():
        await asyncio.sleep(seconds)


def reference(what: object) -> str:
    """Return the id or name in `what`: itself, or what Docker's SDKs give for an object."""
    if isinstance(what, str):
        return what
    named = what.get("ID") if isinstance(what, Mapping) else getattr(what, "id", None)
    if not isinstance(named, str):
        raise TypeError(f"an id or a name is wanted, or an object that has one, not {what!r}")
    return named


def _runs(life: Life, task_id: TaskId) -> bool:
    task = life.cluster.engine.writer.state.tasks.get(task_id)
    return task is not None and not task.state.terminal


def _is_called(state: ClusterState, task: Task, ref: str) -> bool:
    service = state.template_of(task).service_name
    return task.id.startswith(ref) or ref in (f"{service}.{task.slot}", f"{service}.{task.slot}.{task.id}")


def _node(life: Life, ref: str) -> NodeId:
    nodes = life.cluster.engine.writer.state.nodes
    found = [i for i in life.cables if i in nodes and (ref == nodes[i].description.hostname or i.startswith(ref))]
    if len(found) != 1:
        names = ", ".join(nodes[i].description.hostname for i in life.cables if i in nodes)
        raise LookupError(f"no node {ref!r}: there are {names}")
    return found[0]
