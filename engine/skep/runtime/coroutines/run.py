"""One run of a task's function, and how it ended.

A run passes two marks, each exactly once and for good: it is *over* when the function ended or was abandoned, and it
has *ended* when its last line was handed over too.

| the function | exit code, as a process would have it |
| --- | --- |
| returns | 0 |
| raises | 1, and its traceback is printed to stderr; of `SystemExit` its own |
| is cancelled by its stop | 143, as SIGTERM's |
| is cancelled again after its grace | 137, as SIGKILL's |
| goes on all the same | 137, and it is said that it was abandoned |
"""

import asyncio
import traceback
from collections.abc import Mapping
from types import TracebackType

import structlog
from msgspec import Struct

from skep.ports.executor import TaskFailed
from skep.runtime.coroutines.context import TaskContext
from skep.runtime.coroutines.images import Images, TaskFunction
from skep.runtime.coroutines.printing import Printing
from skep.runtime.coroutines.steps import HELD_S, timed
from skep.runtime.health import UNHEALTHY

TERMINATED, KILLED = 143, 137

#: How long a function has after its last cancellation, however short its grace: some turns of a busy loop.
LAST_S = 1.0

#: How much of an exception's message goes into a task's status, which is kept in the log.
MESSAGE_MAX = 300

_log = structlog.get_logger("skep.coroutines")


class Outcome(Struct, frozen=True):
    """How a function ended: what a process would have exited with, and why."""

    exit_code: int = 0
    why: str = ""


class Run:
    """A run of `function`, which begins at once. `images` know it while it goes on after it was abandoned."""

    def __init__(self, context: TaskContext, function: TaskFunction, printing: Printing, *, images: Images) -> None:
        self._context = context
        self._printing = printing
        self._images = images
        self._cancelled = self._killed = False
        self._held_s = HELD_S
        #: Whether its health check asked for its end.
        self.unhealthy = False
        #: How it ended, if it ended badly.
        self.failure: TaskFailed | None = None
        self.exit_code = 0
        self.abandoned = False
        self.over = asyncio.Event()
        self.ended = asyncio.Event()
        # in no task group: that would wait for a function that ignores its cancellation, for ever
        self._task = asyncio.create_task(self._main(function), name=context.name)
        self._task.add_done_callback(self._done)

    async def see_through(self) -> None:
        """Return when it has ended."""
        await self.over.wait()
        await self._printing.close()
        self.ended.set()

    async def stop(self, grace_s: float) -> None:
        """Cancel it, after `grace_s` seconds cancel it again, and then abandon it. May be called again, or cancelled.

        Raises:
            TaskFailed: it was abandoned.
        """
        if grace_s > 0 and not self._cancelled:
            self._cancelled = True
            self._task.cancel()
        if not await self._over_within(max(grace_s, 0.0)):
            if not self._killed:
                self._killed = self._cancelled = True
                self._task.cancel()
            if not await self._over_within(LAST_S):
                self._abandon(grace_s)
        if self.abandoned and self.failure is not None:
            raise self.failure

    async def _over_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            pass
        return self.over.is_set()

    async def _main(self, function: TaskFunction) -> Outcome:
        try:
            await timed(function(self._context), self._tell_held)
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return Outcome((end.code or 0) & 0xFF)  # as the kernel does
            self._context.print(end.code, err=True)
            return Outcome(1, self._told(str(end.code)))
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - whatever it raises is how the task ended
            self._context.print(self._traceback(error), end="", err=True)
            words = str(error)
            return Outcome(1, self._told(f"{type(error).__name__}: {words}" if words else type(error).__name__))
        return Outcome()

    def _done(self, task: asyncio.Task[Outcome]) -> None:
        self._images.addresses.free(self._context.task_id)
        if self.abandoned:
            self._images.abandoned.discard(self._context.name)
            _log.info("coroutine.ended_at_last", task=self._context.name)
            if not task.cancelled():
                task.exception()  # else asyncio would say that nobody asked
            return
        if task.cancelled():
            outcome = Outcome(KILLED if self._killed else TERMINATED)
        elif task.exception() is not None:  # what ends the program: KeyboardInterrupt
            outcome = Outcome(KILLED)
        else:
            outcome = task.result()
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        self.exit_code = outcome.exit_code
        if self.exit_code:
            why = UNHEALTHY if self.unhealthy else outcome.why
            words = f"task: non-zero exit ({self.exit_code})"
            self.failure = TaskFailed(f"{words}: {why}" if why else words, exit_code=self.exit_code)
        self.over.set()

    def _abandon(self, grace_s: float) -> None:
        if self.over.is_set():  # another stop was there first
            return
        words = f"it ignored its cancellation for {grace_s + LAST_S:g} s and was abandoned: it may go on"
        self.abandoned = True
        self._images.abandoned.add(self._context.name)
        _log.warning("coroutine.abandoned", task=self._context.name, all=len(self._images.abandoned))
        self._end(Outcome(KILLED, words))

    def _tell_held(self, seconds: float) -> None:
        """Warn of a step that held the loop, unless one of nearly that length was told before."""
        if seconds >= self._held_s:
            self._held_s = 2 * seconds
            _log.warning("coroutine.held_the_loop", task=self._context.name, seconds=round(seconds, 3))

    def _told(self, words: str) -> str:
        """Return the first line of `words` as a status may have it: not too long, and without the task's secrets."""
        lines = without(self._context.secrets, words).splitlines()
        first = lines[0] if lines else ""
        return first if len(first) <= MESSAGE_MAX else f"{first[:MESSAGE_MAX]}…"

    def _traceback(self, error: BaseException) -> str:
        """Return the traceback of `error` as Python prints it, from the function on, without the task's secrets."""
        lines = traceback.format_exception(type(error), error, _from_function(error.__traceback__))
        return without(self._context.secrets, "".join(lines))


def without(secrets: Mapping[str, bytes], words: str) -> str:
    """Return `words` with the name of each secret in place of its data, where that occurs as it is."""
    for name, data in secrets.items():
        text = data.decode(errors="replace").strip()
        if text:
            words = words.replace(text, f"[secret {name}]")
    return words


def _from_function(trace: TracebackType | None) -> TracebackType | None:
    """Leave out our own frames, which are the first ones."""
    own = (__file__, timed.__code__.co_filename)
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename in own:
        trace = trace.tb_next
    return trace
