"""The agent: a node's side of the link. It runs what the dispatcher assigns, and tells what becomes of it.

```
            session ──► node
 dispatcher assignments ──► Worker ──► TaskRun ──► executor ──► lines ──► AgentLines ──► publish_lines
            update_task_status ◄── Reporter ◄──┘
```

- Tasks and their lines outlive sessions; a new session begins with everything being told again.
- Nothing is reported before the session's COMPLETE message is applied: one report of a task that is another node's by
  now ends a session, and the message is what removes the task. So it is after the swarm lost what it had assigned.
- Which failure stops what: a failure of the link ends the session, which is built anew; one of a task ends the task
  (see `agent_task`); anything else ends the agent, and with it all that runs on the node.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import NoReturn

import anyio
import structlog
from msgspec import structs

from skep.model.ids import NodeId
from skep.model.node import Node, NodeDescription
from skep.ports.clock import Clock
from skep.ports.executor import Executor
from skep.ports.lines import LineStore
from skep.ports.link import Link, LinkError, NoMember, SessionRequest
from skep.runtime.agent_lines import AgentLines
from skep.runtime.agent_reports import Reporter
from skep.runtime.agent_worker import Worker

#: How long until a session is built anew: doubled each time, unless one lasted as long as the longest.
BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 8.0

#: How long a session may take to begin, and an answer to a heartbeat: SwarmKit's deadlines.
ANSWER_S = 5.0

_log = structlog.get_logger("skep.agent")


class Agent:
    """The agent of node `node_id`. `hostname` overrides what the executor says.

    `report_delay_s` is how long reports wait for others to come along; a report in flight makes others wait anyway.
    """

    def __init__(
        self,
        link: Link,
        executor: Executor,
        lines: LineStore,
        *,
        node_id: NodeId,
        clock: Clock,
        hostname: str | None = None,
        addr: str = "",
        report_delay_s: float = 0.0,
    ) -> None:
        self.node_id = node_id
        #: The node as the dispatcher last told it; None before the first session.
        self.node: Node | None = None
        self._link = link
        self._executor = executor
        self._clock = clock
        self._hostname = hostname
        self._addr = addr
        self._session_id = ""
        self._removed = False
        self._lines = AgentLines(lines, node_id)
        self._reporter = Reporter(delay_s=report_delay_s)

    async def run(self) -> NoReturn:
        """Run until cancelled; then, or when something broke, everything that runs on the node is killed.

        Once at most. Whatever an earlier life of this node's agent started is killed first.
        """
        try:
            await self._executor.open(self._lines.keep)
            async with asyncio.TaskGroup() as group:
                worker = Worker(self._executor, self._lines, self._reporter, group, now=self._clock.now)
                await self._hold_sessions_forever(worker)
        finally:
            with anyio.CancelScope(shield=True):
                await self._executor.aclose()

    def _describe(self) -> NodeDescription:
        description = self._executor.describe()
        return description if self._hostname is None else structs.replace(description, hostname=self._hostname)

    async def _hold_sessions_forever(self, worker: Worker) -> NoReturn:
        backoff_s = BACKOFF_S_MIN
        while True:
            began = anyio.current_time()
            try:
                await self._hold_session(worker)
            except* NoMember as removed:
                if not self._removed:
                    _log.warning("agent.node_removed", node_id=self.node_id, why=_first_words(removed))
                self._removed = True
                worker.remove_all()
            except* (LinkError, TimeoutError) as failures:
                _log.info("agent.session_ended", node_id=self.node_id, why=_first_words(failures))
            if (task := asyncio.current_task()) is not None and task.cancelling():
                # a task group gives its children's failures precedence over its own cancellation
                raise asyncio.CancelledError
            if anyio.current_time() - began >= BACKOFF_S_MAX:
                backoff_s = BACKOFF_S_MIN
            await anyio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_S_MAX)

    async def _hold_session(self, worker: Worker) -> NoReturn:
        request = SessionRequest(self._describe(), self._addr, self._session_id)
        with anyio.fail_after(ANSWER_S) as deadline:
            async with self._link.session(request) as messages:
                first = await anext(messages, None)
                if first is None:
                    raise LinkError("the session ended before it began")
                deadline.deadline = float("inf")
                self.node, self._session_id = first.node, first.session_id
                worker.begin_session()
                self._reporter.begin(worker.statuses())
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._beat_forever(first.session_id))
                    group.create_task(self._take_assignments(first.session_id, worker))
                    group.create_task(self._report(first.session_id, worker))
                    group.create_task(self._serve_lines(first.session_id, worker))
                    async for message in messages:
                        self.node = message.node
                    raise LinkError("the session ended")

    async def _beat_forever(self, session_id: str) -> NoReturn:
        while True:
            with anyio.fail_after(ANSWER_S):
                period_s = await self._link.heartbeat(session_id)
            await anyio.sleep(period_s)

    async def _take_assignments(self, session_id: str, worker: Worker) -> NoReturn:
        messages = self._link.assignments(session_id)
        try:
            async for message in messages:
                worker.apply(message)
        finally:
            if isinstance(messages, AsyncGenerator):
                await messages.aclose()
        raise LinkError("the assignments ended")

    async def _report(self, session_id: str, worker: Worker) -> NoReturn:
        await worker.informed.wait()
        await self._reporter.report_forever(self._link, session_id)

    async def _serve_lines(self, session_id: str, worker: Worker) -> None:
        await worker.informed.wait()  # else it would answer of tasks that it does not know yet that there is nothing
        await self._lines.serve_session(self._link, session_id, worker.tasks)


def _first_words(failures: BaseExceptionGroup[BaseException]) -> str:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return str(failure)
