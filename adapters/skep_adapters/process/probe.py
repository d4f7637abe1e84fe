"""A probe: one run of a task's health check, beside the task, under a keeper of its own.

It has the task's user, directory, environment, namespace and limits. It is noted nowhere: should agent and keeper both
be killed, it is found by the task's id in its environment. What it prints is read to the end, and the first of it kept.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from skep.runtime.health import OUTPUT_BYTES_MAX, Probed

from skep_adapters.process import kin, words
from skep_adapters.process.run import ASK_S, KILL_ANSWER_S, Place
from skep_adapters.process.supervision import KeeperLine

_READ_BYTES = 64 * 1024


async def probe(place: Place, launch: Mapping[str, Any]) -> Probed:
    """Run `launch` to its end; when cancelled, kill all of it first."""
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(write, True)
    printed = _Printed(read)
    try:
        try:
            async with place.starts:
                line = await place.supervision.ask(launch, write, write)
        finally:
            os.close(write)
        try:
            return await _follow(line, printed)
        finally:
            line.close()
    except OSError as error:
        return Probed(-1, str(error.strerror).encode())
    finally:
        printed.close()


async def _follow(line: KeeperLine, printed: "_Printed") -> Probed:
    keeper: kin.Identity | None = None
    try:
        async with asyncio.timeout(ASK_S):
            born = await line.next()
        if born is None:
            return Probed(-1, b"no process could be had")
        keeper = (born[1][0], born[1][1])
        line.send("go")
        while (packet := await line.next()) is not None:
            match packet:
                case ["failed", step, code]:
                    return Probed(-1, f"{step}: {os.strerror(code)}".encode())
                case ["ended", status, *_]:
                    return Probed(words.exit_code_of(status), printed.first())
        return Probed(-1, b"killed")
    except TimeoutError:
        return Probed(-1, b"the supervisor does not answer")
    except asyncio.CancelledError:
        await _kill(line, keeper)
        raise


async def _kill(line: KeeperLine, keeper: kin.Identity | None) -> None:
    """Kill all of it; return when nothing of it runs, or its keeper, killed as well, cannot say."""
    line.send("kill")
    try:
        async with asyncio.timeout(KILL_ANSWER_S):
            while (packet := await line.next()) is not None and packet[0] != "ended":
                pass
    except TimeoutError:
        if keeper is not None and kin.runs(keeper):
            kin.kill([keeper[0]])  # the supervisor ends what it leaves


class _Printed:
    """The reading end of what a probe prints; owns it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._kept = b""
        asyncio.get_running_loop().add_reader(fd, self._read)

    def first(self) -> bytes:
        """Return what was printed first, as much as is kept."""
        while self._fd >= 0 and self._read():
            pass
        return self._kept

    def _read(self) -> bool:
        """Take some; return whether there may be more."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self._kept += data[: OUTPUT_BYTES_MAX - len(self._kept)]
        if not data:
            self.close()
        return bool(data)

    def close(self) -> None:
        """Close. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
