"""One run of a task, as its agent sees it: from the request to the keeper to the last line.

`Run.drive` is the one that does things, in the executor's task group; controllers ask for signals and wait for what
comes of them. A run passes three marks, in order, each exactly once and for good:

- started: the program runs, or did not come to (`failure`);
- dead: nothing of it runs;
- ended: dead, and its last line was handed to the sink.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace
from skep.model.ids import TaskId
from skep.ports.executor import LineSink, TaskFailed

from skep_adapters.process import kin, words
from skep_adapters.process.keeper import KILL_S
from skep_adapters.process.leftovers import kill_leftovers
from skep_adapters.process.notes import Note, Notes, boot_id
from skep_adapters.process.output import Output
from skep_adapters.process.supervision import KeeperLine, Supervision

#: How long a supervisor may take to fork a keeper before it counts as dead: it takes milliseconds, also under load.
ASK_S = 20.0

#: How long a keeper may take to answer a kill: it gives up on what does not die before that.
KILL_ANSWER_S = KILL_S + 2.0

_log = structlog.get_logger("skep.process")


class Place(Struct, frozen=True):
    """What all runs of one executor share. `starts` bounds how many are being started at once."""

    notes: Notes
    supervision: Supervision
    sink: LineSink
    now: Callable[[], int]
    starts: asyncio.Semaphore


class Run:
    """One run. Nothing runs before `drive` is awaited."""

    def __init__(self, task_id: TaskId, place: Place, launch: Mapping[str, Any]) -> None:
        self._task_id = task_id
        self._place = place
        self._launch = launch
        self._line: KeeperLine | None = None
        self._held = self._killed = False
        self._note: Note | None = None
        self.pid = 0
        self.exit_code = 0
        #: Why it did not start, or how it ended; None if it ended well or did not end.
        self.failure: TaskFailed | None = None
        #: Whether its program came to run at all.
        self.ran = False
        self.started = asyncio.Event()
        self.dead = asyncio.Event()
        self.ended = asyncio.Event()

    async def drive(self) -> None:
        """Run the task to its end."""
        try:
            async with self._place.starts:
                if self._held:
                    self._fail(TaskFailed("the task was stopped before it started"))
                    return
                output = await self._ask()
            if output is not None:
                with contextlib.closing(output):
                    await self._live(output)
        finally:
            if self._line is not None:
                self._line.close()
            if not self.dead.is_set():
                self._fail(TaskFailed("the executor was closed"))
            self.started.set()
            self.dead.set()
            self.ended.set()

    def hold(self) -> None:
        """Do not begin, if it did not yet."""
        self._held = True

    def signal(self, number: int) -> None:
        """Send a signal to the main process, if there is one."""
        if self._line is not None:
            self._line.send("signal", number)

    def kill(self) -> None:
        """Kill all of it, whatever there is already."""
        self._held = self._killed = True
        if self._line is not None:
            self._line.send("kill")

    async def kill_for_sure(self) -> None:
        """Kill all of it, and its keeper too if that does not answer; return when it is dead."""
        self.kill()
        try:
            async with asyncio.timeout(KILL_ANSWER_S):
                await self.dead.wait()
        except TimeoutError:
            if self._note is not None and self._note.keeper is not None and kin.runs(self._note.keeper):
                kin.kill([self._note.keeper[0]])  # its line ends, and what it kept is searched for
            await self.dead.wait()

    async def _ask(self) -> Output | None:
        """Get the task a keeper, note both, let it go; None if it came to nothing."""
        fds: list[int] = []
        try:
            supervisor = self._place.supervision.start()
            self._note = Note(boot=boot_id(), supervisor=supervisor, task_id=self._task_id)
            self._place.notes.write(self._note)
            out_read, out_write = os.pipe2(os.O_CLOEXEC)
            fds += (out_read, out_write)
            err_read, err_write = os.pipe2(os.O_CLOEXEC)
            fds += (err_read, err_write)
            self._line = await self._place.supervision.ask(self._launch, out_write, err_write)
            async with asyncio.timeout(ASK_S):
                packet = await self._line.next()
            if packet is None:
                self._fail(words.failed_to_start("the supervisor could not fork a process for it"))
                return None
            _, keeper, main = packet
            self._note = self._note.born(tuple(keeper), tuple(main))
            self._place.notes.write(self._note)
            self.pid = main[0]
            self._line.send("kill" if self._killed else "go")
            output = Output(out_read, err_read, self._place.now)
            fds = [out_write, err_write]
        except TimeoutError:
            self._fail(words.failed_to_start("the supervisor does not answer"))
            return None
        except OSError as error:
            self._fail(words.failed_to_start(f"no process could be had: {error.strerror or type(error).__name__}"))
            return None
        else:
            return output
        finally:
            for fd in fds:
                os.close(fd)

    async def _live(self, output: Output) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass_on(output))
            await self._follow()
            output.task_ended()

    async def _follow(self) -> None:
        """Take what the keeper says until the task is dead."""
        assert self._line is not None  # noqa: S101  # `_ask` returned an output
        while packet := await self._line.next():
            match packet:
                case ["running"]:
                    self.ran = True
                    self.started.set()
                case ["failed", step, code]:
                    argv, directory = self._launch["argv"], self._launch["dir"]
                    self._fail(words.not_started(step, code, argv0=argv[0], directory=directory))
                case ["ended", status, left, why]:
                    self._bury(words.exit_code_of(status), why)
                    if left:
                        _log.warning("process.unkillable", task_id=self._task_id, pids=left)
                    return
        await self._search()

    async def _search(self) -> None:
        """Find and end what a keeper that was killed left behind."""
        if self._note is not None:
            await asyncio.to_thread(kill_leftovers, [replace(self._note, supervisor=None)])  # it is everybody's
        who = "keeper" if self._place.supervision.alive else "supervisor"
        self._fail(TaskFailed(f"task: killed, since the agent's {who} process died", exit_code=words.KILLED))
        self.dead.set()

    def _bury(self, exit_code: int, why: str) -> None:
        if self.failure is None and not self.ran:
            self._fail(TaskFailed("the task was stopped before it started"))
        elif self.failure is None:
            self.exit_code = exit_code
            self.failure = words.ended(exit_code)
            if why == "supervisor":
                self.failure = TaskFailed(
                    "task: killed, since the agent's supervisor process died", exit_code=exit_code
                )
        self.started.set()
        self.dead.set()

    def _fail(self, failure: TaskFailed) -> None:
        if self.failure is None:
            self.failure = failure
            self.exit_code = failure.exit_code
        self.started.set()

    async def _pass_on(self, output: Output) -> None:
        """Hand lines to the sink to the end. If it cannot keep them they are lost, and the task goes on."""
        lost = 0
        while lines := await output.batch():
            try:
                await self._place.sink(self._task_id, lines)
            except Exception as error:  # noqa: BLE001  # a sink is foreign: no task dies of what it raises
                if not lost:
                    _log.warning("process.lines_lost", task_id=self._task_id, error=str(error))
                lost += len(lines)
