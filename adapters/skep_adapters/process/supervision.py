"""The agent's side of the supervisor: starts it, asks it for keepers, and talks to each keeper.

A request goes to the supervisor with its files in one packet; the answers come from the keeper (`keeper.py` lists
them). A supervisor that died is started again with the next request.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import skep_adapters
from skep_adapters.process import kin
from skep_adapters.process.keeper import PACKET_BYTES_MAX

#: `-I -S`: without site-packages and environment it starts in a fraction of the time; it needs the library only.
_MAIN = "import sys, importlib; sys.path.append(sys.argv[2]); importlib.import_module(sys.argv[1]).main()"
_SUPERVISOR = "skep_adapters.process.supervisor"

#: Between two tries of a request while the supervisor's socket is full.
_RETRY_S = 0.002

#: How long an orderly supervisor has to end.
END_S = 8.0


class KeeperLine:
    """The agent's end of a keeper's control socket."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._packets: asyncio.Queue[list[Any] | None] = asyncio.Queue()
        control.setblocking(False)
        asyncio.get_running_loop().add_reader(control, self._read)

    async def next(self) -> list[Any] | None:
        """Return the next packet; None when the keeper is gone."""
        return await self._packets.get()

    def send(self, *words: object) -> None:
        """Send a packet; one that is gone needs none."""
        if self._control.fileno() >= 0:
            try:
                self._control.send(json.dumps(words).encode())
            except (BrokenPipeError, ConnectionResetError, BlockingIOError):
                return

    def close(self) -> None:
        """Close: the keeper ends its task then, if it did not yet. Idempotent."""
        if self._control.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()

    def _read(self) -> None:
        try:
            packet = self._control.recv(PACKET_BYTES_MAX)
        except BlockingIOError:
            return
        except ConnectionResetError:
            packet = b""
        self._packets.put_nowait(json.loads(packet) if packet else None)
        if not packet:
            self.close()


class Supervision:
    """The supervisor process of one agent, started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._identity: kin.Identity = (0, 0)

    @property
    def alive(self) -> bool:
        """Whether there is a supervisor and it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> kin.Identity:
        """Return the identity of the supervisor; start it first if there is none. Blocks for a fork."""
        if not self.alive:
            self._drop()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            root = Path(skep_adapters.__file__).parent.parent
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                    [sys.executable, "-I", "-S", "-c", _MAIN, _SUPERVISOR, str(root), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            ours.setblocking(False)
            self._socket = ours
            self._identity = kin.identify(self._process.pid) or (self._process.pid, 0)
        return self._identity

    async def ask(self, launch: Mapping[str, object], stdout: int, stderr: int) -> KeeperLine:
        """Ask for a keeper that runs `launch`; `stdout` and `stderr` remain the caller's to close.

        Raises:
            OSError: the supervisor is gone, or there are no files to be had.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                with os.fdopen(os.memfd_create("skep-launch", os.MFD_CLOEXEC), "wb") as memory:
                    memory.write(json.dumps(launch).encode())
                    memory.flush()
                    await self._send([theirs.fileno(), memory.fileno(), stdout, stderr])
                return KeeperLine(ours)
            except BaseException:
                ours.close()
                raise

    async def _send(self, fds: list[int]) -> None:
        while True:
            if self._socket is None:
                raise BrokenPipeError
            try:
                socket.send_fds(self._socket, [b"keep"], fds)
            except BlockingIOError:
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def aclose(self) -> bool:
        """End the supervisor; return whether it went by itself within END_S, having ended all below it. Idempotent."""
        process, self._process = self._process, None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if process is None:
            return True
        try:
            await asyncio.to_thread(process.wait, END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
            return False
        return True

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = self._process = None
