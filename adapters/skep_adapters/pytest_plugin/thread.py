"""The thread in which the engines of all tests live, one after the other, behind one socket."""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from skep.testing.flight import FlyingLoop

from skep_adapters.pytest_plugin.life import Life
from skep_adapters.pytest_plugin.options import Options

T = TypeVar("T")

#: A thread whose loop does not end after so long is left behind: it is a daemon.
JOIN_S = 30.0


class EngineThread:
    """A loop in a thread. Made by `running`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "docker.sock"
        self._loop = FlyingLoop()
        self._over = asyncio.Event()
        self._lives = 0

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["EngineThread"]:
        """Run it for as long as the context lasts."""
        # not pytest's own: the name of a socket has to be short
        folder = Path(tempfile.mkdtemp(prefix="skep-pytest-"))
        this = cls(folder)
        thread = threading.Thread(target=this._run, name="skep-pytest", daemon=True)
        thread.start()
        try:
            yield this
        finally:
            this._loop.call_soon_threadsafe(this._over.set)
            thread.join(JOIN_S)
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def host(self) -> str:
        """Where clients find the engine, as `DOCKER_HOST` says it."""
        return f"unix://{self._socket}"

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Have something done in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    @contextmanager
    def living(self, options: Options) -> Iterator[Life]:
        """Have an engine for as long as the context lasts; what ends it early is raised at the end."""
        self._lives += 1
        folder = self._folder / str(self._lives)
        folder.mkdir(mode=0o700)
        life = Life(options, self._loop, folder, self._socket)
        begun: Future[None] = Future()
        over = asyncio.Event()
        living = self.submit(_live(life, begun, over))
        # what failed before it had begun is raised below
        living.add_done_callback(lambda _: None if begun.done() else begun.set_result(None))
        try:
            begun.result()
            if living.done():
                living.result()
            yield life
        finally:
            self._loop.call_soon_threadsafe(over.set)
            living.result()
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._wait())

    async def _wait(self) -> None:
        await self._over.wait()


async def _live(life: Life, begun: Future[None], over: asyncio.Event) -> None:
    async with life.open():
        begun.set_result(None)
        await over.wait()
