"""Notes: what an agent has running, written so that its next life finds and ends it.

One JSON file a task in `<state_dir>/tasks`, written before the task's keeper is asked for, and again with the pids
before the task's program may begin: no process of a task ever runs unnoted. A note survives a crash of the agent; it
need not survive one of the machine, after which the boot id says that nothing in it runs any more.
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct, convert, to_builtins
from msgspec.structs import replace

from skep_adapters.process.kin import Identity

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Note(Struct, frozen=True):
    """What was started for a task (for none: the supervisor itself), in which boot of the machine."""

    boot: str
    supervisor: Identity | None = None
    task_id: str = ""
    keeper: Identity | None = None
    main: Identity | None = None

    def born(self, keeper: Identity, main: Identity) -> "Note":
        """Return the note with the task's processes."""
        return replace(self, keeper=keeper, main=main)


@cache
def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return BOOT_ID.read_text().strip()


class Notes:
    """The notes of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._supervisor = state_dir / "supervisor.json"
        self._tasks = state_dir / "tasks"

    def _path(self, task_id: str) -> Path:
        return self._tasks / f"{task_id}.json" if task_id else self._supervisor

    def open(self) -> None:
        """Make the directory."""
        self._tasks.mkdir(parents=True, exist_ok=True)

    def write(self, note: Note) -> None:
        """Keep `note` in place of the one of the same task, at once and whole."""
        path = self._path(note.task_id)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(to_builtins(note)))
        os.replace(new, path)  # noqa: PTH105  # the same, without a second Path for each start

    def remove(self, task_id: str) -> None:
        """Forget the note of a task. Idempotent."""
        self._path(task_id).unlink(missing_ok=True)

    def read(self) -> Iterator[Note]:
        """Yield every note; one that is half written was never in force and goes."""
        for path in (self._supervisor, *self._tasks.glob("*")):
            try:
                yield convert(json.loads(path.read_text()), Note)
            except FileNotFoundError:
                continue
            except ValueError:
                path.unlink()

    def clear(self) -> None:
        """Forget all."""
        for path in (self._supervisor, *self._tasks.glob("*")):
            path.unlink(missing_ok=True)
