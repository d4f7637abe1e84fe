"""Nobody is answered before what was asked is on the disk, as the kernel is asked for it: seen with strace."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, NoReturn

import pytest

from tests.acceptance.daemon import PATIENCE_S, Daemon, UnixConnection, eventually

pytestmark = pytest.mark.timeout(600)

#: What is written and made durable, and what comes and goes over sockets.
CALLS = "fdatasync,fsync,pwrite64,read,recvfrom,recvmsg,sendto,sendmsg,write,writev"

#: So much of what is written is shown: a page of SQLite, in which a record is known again by a name.
STRING_BYTES = "4096"

WRITES = ("pwrite64", "write", "writev")
SYNCS = ("fdatasync", "fsync")

LOG, KEYS = "cluster.db-wal", "keyring.db-wal"

REQUESTS = 20

_LINE = re.compile(r"(?P<thread>\d+) +[\d.]+ (?P<rest>.*)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(?P<rest>.*)")
_UNFINISHED = " <unfinished ...>"


class SystemCall(NamedTuple):
    """A call of a thread; `began` and `ended` are lines of the trace."""

    text: str
    began: int
    ended: int

    def on(self, file: str, *names: str) -> bool:
        return self.text.startswith(tuple(f"{name}(" for name in names)) and f"/{file}>" in self.text


def calls(trace: str) -> Iterator[SystemCall]:
    """Yield the calls that ended, in the order of their ends."""
    under_way: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(trace.splitlines()):
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        thread, rest = found["thread"], found["rest"]
        if rest.endswith(_UNFINISHED):
            under_way[thread] = rest.removesuffix(_UNFINISHED), number
        elif resumed := _RESUMED.fullmatch(rest):
            text, began = under_way.pop(thread)
            yield SystemCall(text + resumed["rest"], began, number)
        else:
            yield SystemCall(rest, number, number)


class Request(NamedTuple):
    """What happened between a request's arrival and the writing of its answer, in the order of the ends."""

    name: str
    between: Sequence[SystemCall]

    def durable(self, file: str, containing: str = "") -> tuple[int, int]:
        """Return when the first write to `file`, of what contains that, began and when it was known to be on the disk.

        That is a line of the trace each.
        """
        writes = [one for one in self.between if one.on(file, *WRITES) and containing in one.text]
        assert writes, f"nothing was written to {file} between the request for {self.name} and its answer"
        synced = [one for one in self.between if one.on(file, *SYNCS) and one.text.endswith(" = 0")]
        ends = [one.ended for one in synced if one.began > writes[0].ended]
        assert ends, f"{file} was not synchronised between the request for {self.name} and its answer"
        return writes[0].began, ends[0]


def requests(trace: str, kind: str) -> Iterator[Request]:
    """Yield the requests that were made by `create`, which followed one another."""
    found = list(calls(trace))
    arrivals = [one for one in found if f'"POST /{kind}/create ' in one.text]
    answers = [one for one in found if '"HTTP/1.1 201 ' in one.text]
    assert len(arrivals) == len(answers) == REQUESTS
    for number, (arrival, answer) in enumerate(zip(arrivals, answers, strict=True)):
        assert arrival.ended < answer.began
        between = [one for one in found if arrival.ended < one.began and one.ended < answer.began]
        yield Request(f"{kind}-{number}", between)


@contextmanager
def traced(daemon: Daemon) -> Iterator[Path]:
    """Trace all threads of the daemon; yield the file of the trace, which is whole at the end."""
    strace = shutil.which("strace")
    if strace is None:
        cannot_trace("no strace on PATH")
    trace = daemon.home / "trace"
    trace.touch()
    words = [strace, "-f", "-yy", "-ttt", "-s", STRING_BYTES, "-e", f"trace={CALLS}", "-o", trace]
    with (daemon.home / "strace").open("w") as errors:
        tracer = subprocess.Popen([*words, "-p", str(daemon.process.pid)], stderr=errors)
    try:

        def attached() -> bool:
            if tracer.poll() is not None:
                cannot_trace((daemon.home / "strace").read_text())
            daemon.ask("GET", "/_ping")
            return "/_ping" in trace.read_text()

        eventually(attached, "the trace shows what is asked")
        yield trace
    finally:
        tracer.terminate()  # upon which it lets go of the daemon
        tracer.wait(PATIENCE_S)


def cannot_trace(why: str) -> NoReturn:
    """Skip, but not where nobody would see it."""
    if os.environ.get("CI"):
        pytest.fail(f"cannot trace: {why}")
    pytest.skip(f"cannot trace: {why}")


def create(daemon: Daemon, kind: str) -> None:
    with closing(UnixConnection(daemon.socket)) as connection:
        for number in range(REQUESTS):
            answer = connection.ask("POST", f"/{kind}/create", {"Name": f"{kind}-{number}", "Data": "eA=="})
            assert answer.status == 201, answer


@pytest.fixture
def swarm(daemon: Daemon) -> Daemon:
    daemon.start()
    assert daemon.ask("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377"}).status == 200
    return daemon


def test_each_answer_is_written_after_its_record_is_on_the_disk(swarm: Daemon) -> None:
    with traced(swarm) as trace:
        create(swarm, "configs")
    for request in requests(trace.read_text(), "configs"):
        request.durable(LOG, rf"\"{request.name}\"")


def test_the_key_of_a_secret_is_on_the_disk_before_the_log_speaks_of_the_secret(swarm: Daemon) -> None:
    with traced(swarm) as trace:
        create(swarm, "secrets")
    for request in requests(trace.read_text(), "secrets"):
        _, key_durable = request.durable(KEYS)
        record_written, _ = request.durable(LOG, rf"\"{request.name}\"")
        assert key_durable < record_written
