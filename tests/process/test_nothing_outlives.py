"""Nothing that a task started outlives the task, and no task its agent: whoever is killed, and how."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from process_harness import exists, kill_marked, new_marker, running, shell, until_gone, with_marker
from skep.ports.executor import TaskFailed
from skep_adapters.process import kin
from skep_adapters.process.executor import ProcessExecutor, StateDirInUseError
from skep_adapters.process.notes import Note, Notes, boot_id

#: Ways to get away: a new session, a double fork, both without the environment, deaf to signals, one that never
#: stays the same process.
ESCAPES = {
    "plain": "sleep {m}",
    "session": "setsid sleep {m} & wait",
    "double fork": "(setsid sh -c 'sleep {m} & sleep {m} &' &) ; sleep {m}",
    "no environment": "(env -i /usr/bin/setsid /bin/sh -c 'sleep {m} & sleep {m}' &); sleep {m}",
    "deaf": "trap '' TERM INT HUP QUIT; setsid sh -c 'trap \"\" TERM HUP; while :; do sleep {m}; done' & sleep {m}",
    "runner": "{py} -c 'import os, sys\nwhile not os.fork() or os._exit(0): os.setsid()' {m} & sleep {m}",
}

AGENT = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from process_harness import running, shell

async def main():
    async with running(Path({state!r})) as cluster:
        for script in {scripts!r}:
            await cluster.started(shell(script))
        await asyncio.sleep(0.2)
        print(cluster.executor._supervision._process.pid, flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


def scripts(marker: str, *, without: str = "") -> list[str]:
    return [script.format(m=marker, py=sys.executable) for name, script in ESCAPES.items() if name != without]


@contextlib.contextmanager
def agent(state_dir: Path, scripts: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run an agent with those tasks in a process of its own; yield it and its supervisor's pid."""
    source = AGENT.format(tests=str(Path(__file__).parent), state=str(state_dir), scripts=scripts)
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def marker() -> Iterator[str]:
    """What tells the processes of one test; none of them is left when it ends, however it ends."""
    marker = new_marker()
    yield marker
    kill_marked(marker)


@pytest.mark.parametrize("end", ["stop", "exit"])
async def test_no_process_outlives_its_task(tmp_path: Path, end: str, marker: str) -> None:
    async with running(tmp_path) as cluster:
        markers = {name: f"{marker}{number}" for number, name in enumerate(ESCAPES)}
        tasks = {
            name: await cluster.started(shell(ESCAPES[name].format(m=marker, py=sys.executable)))
            for name, marker in markers.items()
        }
        await asyncio.sleep(0.2)
        for name, controller in tasks.items():
            assert with_marker(markers[name]), name
            if end == "exit":
                assert controller.status is not None
                os.kill(controller.status.pid, signal.SIGKILL)
                with pytest.raises(TaskFailed, match="137"):
                    await controller.wait()
            else:
                await controller.stop(0.05)
            assert not with_marker(markers[name]), name


async def test_no_process_outlives_an_agent_that_is_killed(tmp_path: Path, marker: str) -> None:
    with agent(tmp_path, scripts(marker)) as (process, supervisor):
        assert len(with_marker(marker)) > len(ESCAPES)
        process.kill()
        process.wait()
        assert await until_gone(marker, 1.5) < 1.5
        for _ in range(100):
            if not exists(supervisor):
                break
            await asyncio.sleep(0.01)
        assert not exists(supervisor)


async def test_the_supervisor_ignores_what_people_send_to_stop_things(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("sleep 1000"))
        note = json.loads((tmp_path / "tasks" / f"{controller.task_id}.json").read_text())
        for who in ("supervisor", "keeper"):
            assert os.getsid(note[who][0]) not in (os.getsid(0), note["main"][0])
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                os.kill(note[who][0], number)
        await asyncio.sleep(0.05)
        assert controller.status is not None
        assert exists(controller.status.pid)


@pytest.mark.parametrize("victim", ["supervisor", "keeper"])
async def test_tasks_fail_when_what_keeps_them_dies_and_others_can_be_started(
    tmp_path: Path, victim: str, marker: str
) -> None:
    async with running(tmp_path) as cluster:
        controllers = [await cluster.started(shell(script)) for script in scripts(marker)]
        await asyncio.sleep(0.1)
        for controller in controllers:
            note = json.loads((tmp_path / "tasks" / f"{controller.task_id}.json").read_text())
            kin.kill([note[victim][0]])
        for controller in controllers:
            async with asyncio.timeout(3):
                with pytest.raises(TaskFailed, match=f"agent's {victim} process died") as failed:
                    await controller.wait()
            assert failed.value.exit_code == 137
        await until_gone(marker, 1)
        assert await cluster.output(shell("echo again")) == "again\n"


async def test_a_keeper_that_does_not_answer_is_killed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: str
) -> None:
    monkeypatch.setattr("skep_adapters.process.run.KILL_ANSWER_S", 0.2)
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell(f"setsid sleep {marker} & sleep {marker}"))
        kin.kill(keepers_of(tmp_path), signal.SIGSTOP)
        async with asyncio.timeout(3):
            await controller.stop(0.1)
        await until_gone(marker, 1)


async def test_a_supervisor_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep_adapters.process.run.ASK_S", 0.2)
    async with running(tmp_path) as cluster:
        supervisor = cluster.executor._supervision._process
        assert supervisor is not None
        supervisor.send_signal(signal.SIGSTOP)
        with pytest.raises(TaskFailed, match="the supervisor does not answer"):
            await cluster.started(shell("true"))
        supervisor.send_signal(signal.SIGCONT)
        monkeypatch.undo()
        assert await cluster.output(shell("echo again")) == "again\n"


async def test_leftovers_are_killed_before_open_returns(tmp_path: Path, marker: str) -> None:
    with agent(tmp_path, scripts(marker)) as (process, supervisor):
        keepers = keepers_of(tmp_path)
        kin.kill([supervisor, *keepers], signal.SIGSTOP)  # so that none of them does its duty
        process.kill()
        process.wait()
        assert len(with_marker(marker)) > len(ESCAPES)
        async with running(tmp_path) as cluster:
            assert not with_marker(marker)
            assert not [pid for pid in (supervisor, *keepers) if exists(pid)]
            assert await cluster.output(shell("echo again")) == "again\n"


async def test_leftovers_are_found_when_all_that_kept_them_is_gone(tmp_path: Path, marker: str) -> None:
    """All but one: a process that left its session and its environment, and whose keepers were all shot at once."""
    with agent(tmp_path, scripts(marker, without="no environment")) as (process, supervisor):
        keepers = keepers_of(tmp_path)
        kin.kill([supervisor, *keepers], signal.SIGSTOP)
        process.kill()
        process.wait()
        kin.kill([*keepers, supervisor])
        await asyncio.sleep(0.05)
        assert with_marker(marker)
        async with running(tmp_path):
            assert not with_marker(marker)


def keepers_of(state_dir: Path) -> list[int]:
    return [json.loads(note.read_text())["keeper"][0] for note in (state_dir / "tasks").glob("*.json")]


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True) as process:
        yield process
        process.kill()


async def test_a_number_that_is_used_again_is_left_alone(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    who = kin.identify(bystander.pid)
    assert who is not None
    notes = Notes(tmp_path)
    notes.open()
    stale = (who[0], who[1] - 1)
    notes.write(Note(boot=boot_id(), supervisor=stale, task_id="a", keeper=stale, main=stale))
    notes.write(Note(boot="another boot", supervisor=who, task_id="b", keeper=who, main=who))
    async with running(tmp_path):
        assert bystander.poll() is None
        assert not list((tmp_path / "tasks").iterdir())


async def test_a_note_that_is_half_written_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "a.json").write_text('{"boot": "')
    async with running(tmp_path):
        assert not list((tmp_path / "tasks").iterdir())


async def test_two_agents_cannot_share_a_state_directory(tmp_path: Path) -> None:
    async with running(tmp_path) as cluster:
        controller = await cluster.started(shell("sleep 1000"))
        second = ProcessExecutor(tmp_path)
        with pytest.raises(StateDirInUseError):
            await second.open(cluster.lines)
        await second.aclose()
        assert controller.status is not None
        assert exists(controller.status.pid)
