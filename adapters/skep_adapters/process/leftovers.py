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
_PASS_S = 0.005


def kill_leftovers(notes: Sequence[Note], *, limit_s: float = KILL_S) -> list[int]:
    """Kill all that `notes` lead to; return whom that did not end. Blocks: milliseconds, at worst `limit_s`."""
    boot = boot_id()
    notes = [note for note in notes if note.boot == boot]
    deadline = time.monotonic() + limit_s
    while notes:
        alive = _alive(notes)
        if not alive or time.monotonic() > deadline:
            return sorted(alive)
        kin.kill(alive)
        time.sleep(_PASS_S)
    return []


def _alive(notes: Sequence[Note]) -> set[int]:
    """Return the pids that run and are ours."""
    roots = {pid for note in notes for who in (note.main, note.keeper, note.supervisor) if who for pid in _ours(who)}
    sessions = {note.main[0] for note in notes if note.main and not _taken(note.main)}
    marks = [f"{TASK_ID_VARIABLE}={note.task_id}".encode() for note in notes if note.task_id]
    for pid in kin.pids():
        found = kin.stat(pid)
        if found and found[0] not in "ZX" and (found[2] in sessions or _marked(pid, marks)):
            roots.add(pid)
    family = roots | {pid for root in roots for pid in kin.descendants(root)}
    family.discard(os.getpid())
    return {pid for pid in family if (found := kin.stat(pid)) and found[0] not in "ZX"}


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
