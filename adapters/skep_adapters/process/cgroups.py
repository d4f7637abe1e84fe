"""Control groups: a task's limits, where this machine lets the agent set them.

They are made below the group that the agent is in itself. A group of version 2 that has processes can limit none below
it. So in one that was delegated to it (systemd's `Delegate=yes`) the agent moves into a group of its own, `daemon`, and
the tasks' groups are beside that. A task's group is named by its agent and its id. The task enters it before its
program begins, and each probe too.
"""

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from msgspec import Struct
from skep.model.service import Limits, ResourceRequirements

PERIOD_US = 100_000

_CONTROLLERS = ("memory", "cpu", "pids")

#: A group can be removed a moment after its last process was reaped.
_REMOVE_S = 1.0
_PASS_S = 0.005

#: What systemd marks the groups with that it leaves to others.
_DELEGATED = ("trusted.delegate", "user.delegate")


class Hierarchy(Struct, frozen=True):
    """A directory in which groups can be made, and which of the controllers they have there."""

    path: Path
    controllers: tuple[str, ...]
    version: int


class Cgroups:
    """The control groups of one agent's tasks, which are named by its `state_dir`."""

    def __init__(self, state_dir: Path, hierarchies: Sequence[Hierarchy] | None = None) -> None:
        self._given = hierarchies
        self._name = f"skep-{hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]}"

    @cached_property
    def _hierarchies(self) -> Sequence[Hierarchy]:
        return find_hierarchies() if self._given is None else self._given

    @property
    def limits(self) -> frozenset[str]:
        """The fields of a spec's resources that have an effect."""
        return limits_of(self._hierarchies)

    def make(self, task_id: str, wanted: ResourceRequirements) -> list[str]:
        """Make the task's groups, if it has limits that can be set; return the files to enter them by.

        Raises:
            OSError: the kernel refuses one.
        """
        files = []
        for hierarchy in self._hierarchies:
            settings = list(_settings(hierarchy, wanted))
            if not settings:
                continue
            path = hierarchy.path / f"{self._name}-{task_id}"
            path.mkdir(exist_ok=True)
            for name, value in settings:
                (path / name).write_text(value)
            files.append(str(path / "cgroup.procs"))
        return files

    def remove(self, task_id: str) -> None:
        """Remove the task's groups; blocks for a moment at most. Idempotent.

        Raises:
            OSError: something is in one of them.
        """
        for hierarchy in self._hierarchies:
            _remove(hierarchy.path / f"{self._name}-{task_id}")

    def clear(self) -> None:
        """Remove all that an earlier life of the agent left behind; what is in use stays."""
        for hierarchy in self._hierarchies:
            for path in hierarchy.path.glob(f"{self._name}-*"):
                with contextlib.suppress(OSError):
                    _remove(path)


def limits_of(hierarchies: Sequence[Hierarchy]) -> frozenset[str]:
    """Return which fields of a spec's resources have an effect."""
    return frozenset(field for hierarchy in hierarchies for field in _fields(hierarchy))


def _fields(hierarchy: Hierarchy) -> Iterator[str]:
    if "memory" in hierarchy.controllers:
        yield "Resources.Limits.MemoryBytes"
        if hierarchy.version == 1:
            yield "Resources.MemorySwappiness"
        if hierarchy.version != 1 or (hierarchy.path / "memory.memsw.limit_in_bytes").exists():
            yield "Resources.SwapBytes"
    if "cpu" in hierarchy.controllers:
        yield "Resources.Limits.NanoCPUs"
    if "pids" in hierarchy.controllers:
        yield "Resources.Limits.Pids"


def _settings(hierarchy: Hierarchy, wanted: ResourceRequirements) -> Iterator[tuple[str, str]]:
    """Yield files and what is written to them, in order: memory before memory with swap."""
    limits = wanted.limits or Limits()
    old = hierarchy.version == 1
    fields = frozenset(_fields(hierarchy))
    if limits.memory_bytes > 0 and "Resources.Limits.MemoryBytes" in fields:
        # as Docker: as much swap as memory where nothing is said
        swap = limits.memory_bytes if wanted.swap_bytes is None else wanted.swap_bytes
        yield "memory.limit_in_bytes" if old else "memory.max", str(limits.memory_bytes)
        if "Resources.SwapBytes" in fields and swap >= 0:
            both = limits.memory_bytes + swap
            yield ("memory.memsw.limit_in_bytes", str(both)) if old else ("memory.swap.max", str(swap))
    swappiness = -1 if wanted.memory_swappiness is None else wanted.memory_swappiness
    if swappiness >= 0 and "Resources.MemorySwappiness" in fields:
        yield "memory.swappiness", str(swappiness)
    if limits.nano_cpus > 0 and "Resources.Limits.NanoCPUs" in fields:
        quota = str(max(1_000, limits.nano_cpus * PERIOD_US // 1_000_000_000))  # the kernel's least is a millisecond
        if old:
            yield "cpu.cfs_period_us", str(PERIOD_US)
        yield ("cpu.cfs_quota_us", quota) if old else ("cpu.max", f"{quota} {PERIOD_US}")
    if limits.pids > 0 and "Resources.Limits.Pids" in fields:
        yield "pids.max", str(limits.pids)


def find_hierarchies(proc: Path = Path("/proc/self")) -> list[Hierarchy]:
    """Return where this process may make groups that limit: none twice for one controller, version 1 first."""
    try:
        own = {name: path for line in _lines(proc / "cgroup") for name, path in _groups(line)}
        mounts = [_mount(line) for line in _lines(proc / "mountinfo")]
    except OSError:
        return []
    found: list[Hierarchy] = []
    for version, controllers, root, point in mounts:
        if version == 1 and (here := tuple(name for name in _CONTROLLERS if name in controllers)):
            path = _below(point, root, own.get(here[0], ""))
            if path is not None and os.access(path, os.W_OK):
                found.append(Hierarchy(path, here, 1))
    for version, _, root, point in mounts:
        path = _below(point, root, own.get("", "")) if version == 2 else None  # noqa: PLR2004 - the version
        if path is not None:
            found += _unified(path, [name for one in found for name in one.controllers])
    return found


def _unified(own: Path, had: Sequence[str]) -> list[Hierarchy]:
    """Return where groups of version 2 can be made, for the controllers that version 1 has not; one or none."""
    path = own.parent if _delegated(own.parent) else own
    here = tuple(name for name in _CONTROLLERS if name not in had and name in _words(path / "cgroup.controllers"))
    control = path / "cgroup.subtree_control"
    lacking = [name for name in here if name not in _words(control)]
    try:
        if lacking and path == own and _delegated(own) and _words(own / "cgroup.procs") == [str(os.getpid())]:
            (own / "daemon").mkdir(exist_ok=True)
            (own / "daemon" / "cgroup.procs").write_text("0")
        if lacking:
            control.write_text(" ".join(f"+{name}" for name in lacking))
    except OSError:
        return []  # it has processes of others, or is not ours
    return [Hierarchy(path, here, 2)] if here and os.access(path, os.W_OK) else []


def _delegated(path: Path) -> bool:
    for name in _DELEGATED:
        with contextlib.suppress(OSError):
            if os.getxattr(path, name) == b"1":
                return True
    return False


def _groups(line: str) -> Iterator[tuple[str, str]]:
    _, names, path = line.split(":", 2)
    for name in names.split(","):
        yield name, path


def _mount(line: str) -> tuple[int, Sequence[str], str, Path]:
    """Return version, controllers, root and mount point of a line of mountinfo; version 0 for others."""
    mount, _, system = line.partition(" - ")
    kind, _, options = system.split(" ", 2)
    _, _, _, root, point, *_ = mount.split(" ")
    return {"cgroup": 1, "cgroup2": 2}.get(kind, 0), options.split(","), root, Path(point)


def _below(point: Path, root: str, own: str) -> Path | None:
    """Return the directory of the group `own` in a hierarchy that is mounted from `root` at `point`."""
    if not own:
        return None
    path = PurePosixPath(own)
    return point / path.relative_to(root) if path.is_relative_to(root) else None


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def _words(path: Path) -> Sequence[str]:
    try:
        return path.read_text().split()
    except OSError:
        return ()


def _remove(path: Path) -> None:
    deadline = time.monotonic() + _REMOVE_S
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(_PASS_S)
        else:
            return
