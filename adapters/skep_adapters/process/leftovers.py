"""Leftovers: processes of an earlier life of an agent, or of a keeper that was killed; found by their notes, ended.

A process is ours if a note names it (pid and start time, same boot), if it descends from such a one, if it is in the
session of a task's main process, or if its environment holds the id of the task: so what forked twice and left its
session is found even when supervisor and keeper were both killed.
"""

import os
import time
from collections.abc import Sequence

from skep_adapters.process import kin
from skep_adapters.process.notes import Note, boot_id

#: The variable that every process of a task has from its birth.
TASK_ID_VARIABLE = "SKEP_TASK_ID"

#: How long to go on before giving up on what does not die.
KILL_S = 10.0
_PASS_S = 0.001

#: A process that forks and exits all the time is seen by some looks and not by others: nothing is gone before so many
#: looks at the newest processes in a row have missed it (each costs a fraction of a millisecond).
_QUIET_LOOKS = 40
_NEWEST = 96


def kill_leftovers(notes: Sequence[Note], *, limit_s: float = KILL_S) -> list[int]:
    """Kill all that `notes` lead to; return whom that did not end. Blocks: milliseconds, at worst `limit_s`."""
    boot = boot_id()
    notes = [note for note in notes if note.boot == boot]
    deadline = time.monotonic() + limit_s
    while notes:
        alive = _kill_all(notes)
        while _chase(notes) and time.monotonic() < deadline:
            pass
        if not alive or time.monotonic() > deadline:
            return sorted(alive)
        time.sleep(_PASS_S)
    return []


def _kill_all(notes: Sequence[Note]) -> set[int]:
    """Kill what runs and is ours, each at once when it is found; return it."""
    roots = {pid for note in notes for who in (note.main, note.keeper, note.supervisor) if who for pid in _ours(who)}
    for pid in sorted(kin.pids(), reverse=True):
        if _is_ours(pid, notes):
            kin.kill([pid])
            roots.add(pid)
    family = roots | {pid for root in roots for pid in kin.descendants(root)}
    family.discard(os.getpid())
    alive = {pid for pid in family if (found := kin.stat(pid)) and found[0] not in "ZX"}
    kin.kill(alive)
    return alive


def _chase(notes: Sequence[Note]) -> bool:
    """Look for ours among the newest processes until they stay away; return whether there was one."""
    quiet = 0
    while quiet < _QUIET_LOOKS:
        newest = _newest_pid()
        for pid in range(newest, max(newest - _NEWEST, 1), -1):
            if _is_ours(pid, notes):
                kin.kill([pid])
                return True
        quiet += 1
    return False


def _newest_pid() -> int:
    with open("/proc/loadavg", "rb") as file:  # noqa: PTH123  # as in `kin.stat`
        return int(file.read().split()[-1])


def _is_ours(pid: int, notes: Sequence[Note]) -> bool:
    """Say whether a process is in the session of a task's main process, or bears a task's id from its birth."""
    found = kin.stat(pid)
    if found is None or found[0] in "ZX" or pid == os.getpid():
        return False
    sessions = {note.main[0] for note in notes if note.main}
    if found[2] in sessions and not any(note.main and note.main[0] == found[2] and _taken(note.main) for note in notes):
        return True
    return _marked(pid, [f"{TASK_ID_VARIABLE}={note.task_id}".encode() for note in notes if note.task_id])


def _ours(who: kin.Identity) -> list[int]:
    return [who[0]] if kin.runs(who) else []


def _taken(who: kin.Identity) -> bool:
    """Say whether the number was used again, which happens only after its session was empty."""
    now = kin.identify(who[0])
    return now is not None and now != who


def _marked(pid: int, marks: Sequence[bytes]) -> bool:
    if not marks:
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123  # one for every process of the machine
            environment = file.read().split(b"\0")
    except OSError:
        return False  # gone, or not ours to read and so not ours to kill
    return any(mark in environment for mark in marks)
