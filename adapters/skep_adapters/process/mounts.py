"""The mounts of a task: what of its spec is mounted from where, and refused in Docker's words where it cannot be.

Volumes are held from `prepare` on, as a container does: nobody removes one that a task uses. The mounting itself is
done in the task's own namespace, just before its program begins (`namespace`).
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from skep.model.container import ContainerSpec, Mount, TmpfsOptions, VolumeOptions
from skep.ports.executor import TaskRejected
from skep.ports.volumes import VolumeRefused

from skep_adapters.process.namespace import PROPAGATIONS, TMPFS_FLAGS, TMPFS_WORDS, MountStep
from skep_adapters.process.users import Account
from skep_adapters.process.volumes import DirectoryVolumes

#: A mount is some system calls, and each is a line in the kernel's table of the task.
MOUNTS_MAX = 1_000

#: Options of a tmpfs that have a value, which is a number.
_TMPFS_NUMBERS = ("uid", "gid", "nr_inodes", "nr_blocks")

_TMPFS_MODE = 0o1777


class Mounts:
    """The mounts of one task; `user` is its container's id."""

    def __init__(self, volumes: DirectoryVolumes, *, user: str, task_id: str) -> None:
        self._volumes = volumes
        self._user = user
        self._task_id = task_id

    async def prepare(self, spec: ContainerSpec, account: Account | None) -> list[MountStep]:
        """Return what is to be mounted, outer targets first; volumes that are not there are made, and held.

        Raises:
            TaskRejected: one of them can never be.
        """
        if len(spec.mounts) > MOUNTS_MAX:
            raise TaskRejected(f"{len(spec.mounts)} mounts: a process can have {MOUNTS_MAX}")
        for mount in spec.mounts:
            check_mount(mount)
        ordered = sorted(spec.mounts, key=lambda mount: len(PurePosixPath(mount.target).parts))
        try:
            return [await self._step(mount, account) for mount in ordered]
        except TaskRejected:
            await self.release()
            raise

    async def release(self) -> None:
        """Let go of the volumes. Idempotent."""
        await self._volumes.release(self._user)

    async def _step(self, mount: Mount, account: Account | None) -> MountStep:
        if mount.type == "tmpfs":
            return _tmpfs(mount)
        source = await self._volume(mount, account) if mount.type == "volume" else _bind_source(mount)
        options = mount.bind_options
        return MountStep(
            source=source,
            target=mount.target,
            flags=0,
            options="",
            recursive=options is None or not options.non_recursive,
            propagation=PROPAGATIONS[options.propagation if options is not None else ""],
            read_only=_read_only(mount),
        )

    async def _volume(self, mount: Mount, account: Account | None) -> str:
        options = mount.volume_options or VolumeOptions()
        try:
            volume = await self._volumes.hold(
                mount.source, self._user, labels=options.labels, account=account, task_id=self._task_id
            )
        except VolumeRefused as error:
            raise TaskRejected(str(error)) from None
        return _below(mount, Path(volume.mountpoint), options.subpath)


def check_mount(mount: Mount) -> None:
    """Refuse a mount that is wrong in itself.

    Raises:
        TaskRejected: in Docker's words where it has them.
    """
    if mount.type not in ("bind", "volume", "tmpfs"):
        raise TaskRejected(f'mount type "{mount.type}" unknown')
    if not mount.target.startswith("/"):
        raise TaskRejected(f"invalid mount target, must be an absolute path: {mount.target}")
    if os.path.normpath(mount.target) in ("/", "//"):
        raise _invalid(mount, "invalid specification: destination can't be '/'")
    if "\0" in mount.source + mount.target:
        raise _invalid(mount, "a path holds a null byte")
    if mount.type == "bind":
        _check_bind(mount)
    elif mount.type == "tmpfs" and mount.source:
        raise TaskRejected("invalid tmpfs source, source must be empty")
    elif mount.type == "volume":
        if mount.source.startswith("/"):
            raise TaskRejected(f"invalid volume mount source, must not be an absolute path: {mount.source}")
        driver = mount.volume_options.driver_config if mount.volume_options is not None else None
        if driver is not None and driver.options:
            said = ", ".join(sorted(driver.options))
            raise _invalid(mount, f"options of a volume's driver ({said}): a volume is a directory here")


def _check_bind(mount: Mount) -> None:
    if not mount.source.startswith("/"):
        raise TaskRejected(f"invalid bind mount source, must be an absolute path: {mount.source}")
    options = mount.bind_options
    if options is not None and options.propagation not in PROPAGATIONS:
        raise _invalid(
            mount, f"propagation {options.propagation}: a process's mounts are its own, and are seen nowhere else"
        )


def _below(mount: Mount, volume: Path, subpath: str) -> str:
    """Return the path of a part of a volume, which may not lead out of it."""
    path = (volume / subpath).resolve()
    if not path.is_relative_to(volume.resolve()) or not path.exists():
        raise _invalid(mount, f"cannot access path {subpath} of the volume")
    return str(path)


def _bind_source(mount: Mount) -> str:
    source = Path(mount.source)
    if not source.exists():
        if mount.bind_options is None or not mount.bind_options.create_mountpoint:
            raise _invalid(mount, f"bind source path does not exist: {mount.source}")
        source.mkdir(parents=True, exist_ok=True)
    return mount.source


def _read_only(mount: Mount) -> str:
    if not mount.read_only:
        return ""
    options = mount.bind_options
    if options is not None and options.read_only_non_recursive:
        return "top"
    return "all or fail" if options is not None and options.read_only_force_recursive else "all"


def _tmpfs(mount: Mount) -> MountStep:
    said = mount.tmpfs_options or TmpfsOptions()
    flags = TMPFS_FLAGS | (1 if mount.read_only else 0)
    for option in said.options:
        if len(option) == 1 and option[0] in TMPFS_WORDS:
            less, more = TMPFS_WORDS[option[0]]
            flags = flags & ~less | more
        elif len(option) != 2 or option[0] not in _TMPFS_NUMBERS or not option[1].isdecimal():  # noqa: PLR2004 - a name and a value
            raise _invalid(mount, f"invalid option: {'='.join(option)}")
    return MountStep(
        source="",
        target=mount.target,
        flags=flags,
        options=",".join(_tmpfs_options(said)),
        recursive=False,
        propagation=0,
        read_only="",
    )


def _tmpfs_options(said: TmpfsOptions) -> Iterator[str]:
    yield f"mode={said.mode or _TMPFS_MODE:o}"
    if said.size_bytes:
        yield f"size={said.size_bytes}"
    yield from ("=".join(option) for option in said.options if len(option) > 1)


def _invalid(mount: Mount, why: str) -> TaskRejected:
    return TaskRejected(f'invalid mount config for type "{mount.type}": {why}')
