"""The supervisor: the process of which every task of an agent descends. Started by `main`, with a socket to the agent.

Standard library only, and little of it, since a fork of this process is made for every task. For each request it
forks a keeper (`keeper.py`); that is all it does, until the agent's end of the socket closes: then every keeper sees
the same, and what is left after a moment is killed here. It has a session of its own, so that the terminal's Ctrl-C is
not for it, and ignores the signals that people send to stop things: it ends when its agent does.

A request is one packet with four files: control socket, launch (a memory file), standard output, standard error.
"""

import gc
import os
import select
import signal
import socket
import sys
import time

from skep_adapters.process import kin
from skep_adapters.process.keeper import KILL_S, Keeper, wake_on_children

#: How long keepers get to end their tasks by themselves when the agent is gone.
KEEPERS_S = 0.7
#: Files that come with one request.
REQUEST_FDS = 4

_PASS_S = 0.005


class Supervisor:
    """The parent of all keepers."""

    def __init__(self, agent: socket.socket) -> None:
        self._agent = agent
        self._keepers: set[int] = set()
        #: A pipe that nobody writes to: its end tells the keepers that this process is gone.
        self._death_read, self._death_write = os.pipe2(os.O_CLOEXEC)
        self._wake = wake_on_children()

    def serve(self) -> None:
        """Fork keepers until the agent is gone; then see to it that nothing is left."""
        poll = select.poll()
        poll.register(self._agent.fileno(), select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            for fd, _ in poll.poll():
                if fd == self._wake:
                    os.read(self._wake, 512)
                    self._reap()
                elif not self._accept():
                    return self._end()

    def _accept(self) -> bool:
        try:
            packet, fds, _, _ = socket.recv_fds(self._agent, 16, REQUEST_FDS)
        except ConnectionResetError:
            return False
        if not packet:
            return False
        for fd in fds:
            os.set_inheritable(fd, False)  # Python's `recv_fds` drops the flag that would do it
        if len(fds) == REQUEST_FDS and (pid := self._fork(fds)):
            self._keepers.add(pid)
        for fd in fds:
            os.close(fd)
        return True

    def _fork(self, fds: list[int]) -> int:
        try:
            pid = os.fork()
        except OSError:
            return 0  # the control socket closes without a word, and the agent says that no process could be had
        if pid == 0:
            try:
                self._agent.close()
                os.close(self._death_write)
                os.close(self._wake)
                control, launch, stdout, stderr = fds
                Keeper(socket.socket(fileno=control), self._death_read, (launch, stdout, stderr)).keep()
            except BaseException:
                sys.excepthook(*sys.exc_info())
                raise
            finally:
                os._exit(70)
        return pid

    def _reap(self) -> bool:
        """Collect the dead. What a keeper that died otherwise than by itself left behind came to us: kill it."""
        ended = kin.reap()
        for pid, status in ended or ():
            if pid in self._keepers:
                self._keepers.discard(pid)
                if status != 0:
                    self._kill_strays()
        return ended is not None

    def _kill_strays(self) -> None:
        """Kill all below us that no keeper keeps: keepers adopt their own, so these are a dead keeper's."""
        deadline = time.monotonic() + KILL_S
        while time.monotonic() < deadline:
            kept = set(self._keepers)
            for keeper in self._keepers:
                kept.update(kin.descendants(keeper))
            strays = [pid for pid in kin.descendants(os.getpid()) if pid not in kept]
            if not strays:
                return
            kin.kill(strays)
            for pid, _ in kin.reap() or ():
                self._keepers.discard(pid)
            time.sleep(_PASS_S)

    def _end(self) -> None:
        started = time.monotonic()
        while self._reap():
            waited = time.monotonic() - started
            if waited > KEEPERS_S:
                kin.kill(kin.descendants(os.getpid()))
            if waited > KEEPERS_S + KILL_S:
                return
            time.sleep(_PASS_S)


def main() -> None:
    """Serve the agent at the other end of the socket whose number is the last argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    agent = socket.socket(fileno=int(sys.argv[-1]))
    agent.set_inheritable(False)
    os.chdir("/")
    kin.adopt_orphans()
    gc.freeze()  # forks share what is never written: a collection would write to everything
    gc.disable()
    Supervisor(agent).serve()
