"""Secrets and configs as files: in a directory of the task's own, in memory, gone with the task.

- the directory is on tmpfs, checked, never in the state directory: nothing of a secret reaches a disk of ours;
- it is the task user's alone (0700), so the bits for others in a file's mode mean nothing and are dropped;
- a file belongs to the task's user, unless the spec names another owner than root: then owner and mode are the spec's;
- a target's folders are dropped (`/etc/app.key` is `app.key` here): a process has no root directory of its own.
"""

import ctypes
import hashlib
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct
from skep.model.container import ContainerSpec, FileTarget
from skep.model.ids import ConfigId, SecretId
from skep.ports.executor import TaskRejected
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask

from skep_adapters.process.users import Account

_IN_MEMORY = (0x01021994, 0x858458F6)  # TMPFS_MAGIC, RAMFS_MAGIC of linux/magic.h

FILE_MODE = 0o400


class PrivateFile(Struct, frozen=True):
    """A file that only its task sees. `kind` names its folder. The repr hides the data."""

    kind: str
    target: FileTarget
    data: bytes

    def __repr__(self) -> str:
        """Hide the data."""
        return f"PrivateFile({self.kind}, {self.target.name!r})"

    @property
    def name(self) -> str:
        """The file's name in the folder."""
        return PurePosixPath(self.target.name).name


def in_memory(path: Path) -> bool:
    """Say whether `path` is a directory on a filesystem that is kept in memory."""
    if not path.is_dir():
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(512)  # struct statfs, which begins with f_type, is 120 bytes
    if libc.statfs(os.fsencode(path), buffer):
        return False
    return ctypes.c_long.from_buffer(buffer).value in _IN_MEMORY


def remove_tree(path: Path) -> None:
    """Remove a directory and all in it, even where its task took the permissions away. Idempotent.

    Raises:
        OSError: something in it cannot be removed.
    """

    def allow(remove: Callable[[str], object], what: str, failure: tuple[Any, BaseException, Any]) -> None:
        if isinstance(failure[1], FileNotFoundError):
            return
        if not isinstance(failure[1], PermissionError):
            raise failure[1]
        for each in (Path(what).parent, Path(what)):
            if each.is_relative_to(path) and each.is_dir() and not each.is_symlink():
                each.chmod(0o700)
        if remove in (os.unlink, os.rmdir):
            remove(what)
        else:
            shutil.rmtree(what)

    shutil.rmtree(path, onerror=allow)


def find_memory_dir() -> Path | None:
    """Return a directory on tmpfs that this user may write to, or None."""
    own = Path("/run") if os.geteuid() == 0 else Path("/run/user") / str(os.geteuid())
    for path in (own, Path("/dev/shm")):  # noqa: S108  # tmpfs is what is looked for; the directory made there is checked
        if in_memory(path) and os.access(path, os.W_OK | os.X_OK):
            return path
    return None


def private_files(
    task: AssignedTask, secrets: Mapping[SecretId, AssignedSecret], configs: Mapping[ConfigId, AssignedConfig]
) -> list[PrivateFile]:
    """Return the files of `task`; a config without a file is for its runtime, and a process has none.

    Raises:
        TaskRejected: it refers to one that is not there.
    """
    spec = task.template.spec.container_spec or ContainerSpec()
    files = []
    for secret in spec.secrets:
        if (had := secrets.get(SecretId(secret.secret_id))) is None:
            raise TaskRejected(f"secret {secret.secret_name} ({secret.secret_id}) is not on this node")
        files.append(PrivateFile("secrets", secret.file or FileTarget(name=secret.secret_name), had.data))
    for config in spec.configs:
        if config.runtime is not None:
            continue
        if (known := configs.get(ConfigId(config.config_id))) is None:
            raise TaskRejected(f"config {config.config_name} ({config.config_id}) is not on this node")
        files.append(PrivateFile("configs", config.file or FileTarget(name=config.config_name), known.data))
    return files


class PrivateFiles:
    """The private files of all tasks of one agent."""

    def __init__(self, state_dir: Path, run_dir: Path | None) -> None:
        self._run_dir = run_dir
        key = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]
        self._name = f"skep-{os.geteuid()}-{key}"

    @cached_property
    def _root(self) -> Path | None:
        memory = self._run_dir if self._run_dir is not None else find_memory_dir()
        return memory / self._name if memory is not None and in_memory(memory) else None

    def write(self, task_id: str, files: Sequence[PrivateFile], account: Account) -> dict[str, str]:
        """Write the files of a task; return the folders of its secrets and configs by variable name.

        Raises:
            TaskRejected: there is no place for them, or two of them would be one file.
        """
        if not files:
            return {}
        root = self._root
        if root is None:
            raise TaskRejected(
                "secrets and configs must be kept in memory, and there is no tmpfs that the agent may write to "
                f"(tried {self._run_dir or '/run, /run/user and /dev/shm'}): mount one, or set the run directory"
            )
        _check_names(files)
        _own_directory(root)
        home = root / task_id
        remove_tree(home)
        home.mkdir(mode=0o700)
        folders = {}
        for kind in dict.fromkeys(file.kind for file in files):
            (home / kind).mkdir(mode=0o700)
            folders[f"SKEP_{kind.upper()}_DIR"] = str(home / kind)
        for file in files:
            _write(home / file.kind / file.name, file, account)
        if account.change:
            for path in (home, *(home / kind for kind in {file.kind for file in files})):
                os.chown(path, account.uid, account.gid)
        return folders

    def remove(self, task_id: str) -> None:
        """Remove a task's files. Idempotent."""
        if (root := self._root) is not None:
            remove_tree(root / task_id)

    def clear(self) -> None:
        """Remove the files of all tasks, and the directory."""
        if (root := self._root) is not None:
            remove_tree(root)


def _own_directory(root: Path) -> None:
    """Make the agent's directory, or see that the one there is its own: the place may be writable by everyone."""
    root.mkdir(mode=0o711, exist_ok=True)
    found = root.lstat()
    if found.st_uid != os.geteuid() or not root.is_dir() or root.is_symlink() or found.st_mode & 0o022:
        raise TaskRejected(f"secrets and configs cannot be written: {root} is not a directory of the agent's own")
    root.chmod(0o711)


def _check_names(files: Sequence[PrivateFile]) -> None:
    seen: set[tuple[str, str]] = set()
    for file in files:
        if file.name in ("", ".", ".."):
            raise TaskRejected(f"{file.kind}: the target {file.target.name!r} does not name a file")
        if (file.kind, file.name) in seen:
            raise TaskRejected(
                f"{file.kind}: two targets would both be the file {file.name}: a local process has all of them in one "
                f"directory, by the last part of the target's path"
            )
        seen.add((file.kind, file.name))


def _write(path: Path, file: PrivateFile, account: Account) -> None:
    uid, gid = _number(file, "uid"), _number(file, "gid")
    foreign = os.geteuid() == 0 and uid not in (0, account.uid)
    mode = file.target.mode or FILE_MODE
    if not foreign:
        uid, gid = account.uid, gid or account.gid
        mode = mode & 0o700 or FILE_MODE
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        out.write(file.data)
        if os.geteuid() == 0:
            os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)


def _number(file: PrivateFile, which: str) -> int:
    said = file.target.uid if which == "uid" else file.target.gid
    if said and not said.isdecimal():
        raise TaskRejected(f"{file.kind}: the {which} {said!r} of {file.target.name} is not a number")
    return int(said or 0)
