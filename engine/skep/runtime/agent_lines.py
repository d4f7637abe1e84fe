"""What an agent's tasks print: kept in its store, and published to whoever subscribed."""

import asyncio
from collections.abc import Callable, Container, Iterable, Sequence

import structlog

from skep.model.ids import NodeId, TaskId
from skep.ports.lines import Line, LineStore
from skep.ports.link import AssignedTask, Link, LinkError
from skep.runtime.agent_subscription import Subscription, Unwanted

#: Subscriptions of sessions that ended that are remembered, in case a new one names them again.
IDLE_SUBSCRIPTIONS_MAX = 256

_log = structlog.get_logger("skep.agent")


class AgentLines:
    """Keeps lines in `store` and serves subscriptions."""

    def __init__(self, store: LineStore, node_id: NodeId) -> None:
        self._store = store
        self._node_id = node_id
        self._subscriptions: dict[str, Subscription] = {}

    async def keep(self, task_id: TaskId, lines: Sequence[Line]) -> None:
        """Keep what a task printed: the executor's sink."""
        await self._store.append(task_id, lines)
        for subscription in self._subscriptions.values():
            subscription.notice(task_id)

    def add(self, task: AssignedTask) -> None:
        """Know a task that is new here."""
        for subscription in self._subscriptions.values():
            subscription.add(task)

    async def remove(self, task_id: TaskId) -> None:
        """Forget a task and its lines."""
        for subscription in self._subscriptions.values():
            subscription.remove(task_id)
        try:
            await self._store.remove(task_id)
        except OSError as error:
            _log.warning("agent.lines_not_removed", task_id=task_id, error=str(error))

    async def serve_session(self, link: Link, session_id: str, tasks: Callable[[], Iterable[AssignedTask]]) -> None:
        """Serve a session's subscriptions to what `tasks` gives, until the session ends.

        Raises:
            ExceptionGroup: with the `LinkError` that ended it.
        """
        serving: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            async for message in link.subscriptions(session_id):
                running = serving.get(message.id)
                if message.close:
                    self._subscriptions.pop(message.id, None)
                    serving.pop(message.id, None)
                    if running is not None:
                        running.cancel()
                elif running is None or running.done():
                    serving = {id_: task for id_, task in serving.items() if not task.done()}
                    self._forget_idle(serving)
                    subscription = self._subscriptions.setdefault(
                        message.id, Subscription(message, self._store, self._node_id)
                    )
                    serving[message.id] = group.create_task(self._serve(message.id, subscription, link, tasks()))
            raise LinkError("the subscriptions ended")

    async def _serve(self, id_: str, subscription: Subscription, link: Link, tasks: Iterable[AssignedTask]) -> None:
        try:
            await subscription.serve(link, tasks)
        except Unwanted:
            pass
        except OSError as error:
            _log.warning("agent.lines_not_read", subscription_id=id_, error=str(error))
            await link.publish_lines(id_, (), close=True)
        if self._subscriptions.get(id_) is subscription:
            del self._subscriptions[id_]

    def _forget_idle(self, serving: Container[str]) -> None:
        """Forget the oldest subscriptions that this session did not name, where there are too many."""
        idle = [id_ for id_ in self._subscriptions if id_ not in serving]
        for id_ in idle[: max(0, len(idle) - IDLE_SUBSCRIPTIONS_MAX)]:
            del self._subscriptions[id_]
