"""A mount namespace of a task's own: what is mounted in it is there for the task alone.

Standard library only (see `kin`). Called in the forked child, before it gives up what root may. An agent that is not
root makes a user namespace as well, in which it may mount: the child keeps its ids, and can have no others there.

- what is mounted or unmounted on the node later is seen in the namespace, and nothing the other way;
- a target that is not there is made on the node, an empty directory or file, and stays;
- sources are those of the node, whatever other mounts of the same task cover.
"""

import ctypes
import errno
import os
import stat
from typing import TypedDict

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8
_REMOUNT, _BIND, _REC = 32, 4096, 16384
_PRIVATE, _SLAVE = 1 << 18, 1 << 19

#: What a bind mount in a user namespace must keep when it is mounted anew: flags of statvfs(3), and of mount(2).
_KEPT = ((2, _NOSUID), (4, _NODEV), (8, _NOEXEC), (1024, 1024), (2048, 2048), (4096, 1 << 21))

#: Numbers of open_tree(2) and move_mount(2), which Linux 5.2 has, and of mount_setattr(2), which makes all of a mount
#: read-only at once, and which 5.12 has. They are the same on all machines.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_AT_FDCWD, _AT_RECURSIVE, _OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH, _ATTR_RDONLY = -100, 0x8000, 1, 4, 1

PROPAGATIONS = {
    "": _PRIVATE | _REC,
    "rprivate": _PRIVATE | _REC,
    "private": _PRIVATE,
    "rslave": _SLAVE | _REC,
    "slave": _SLAVE,
}

#: The flags that Docker gives a tmpfs, and the words that take one away or give one.
TMPFS_FLAGS = _NOSUID | _NODEV | _NOEXEC
TMPFS_WORDS = {
    "noexec": (0, _NOEXEC),
    "nosuid": (0, _NOSUID),
    "nodev": (0, _NODEV),
    "ro": (0, _RDONLY),
    "exec": (_NOEXEC, 0),
    "suid": (_NOSUID, 0),
    "dev": (_NODEV, 0),
    "rw": (_RDONLY, 0),
}

_libc = ctypes.CDLL(None, use_errno=True)


class MountStep(TypedDict):
    """One mount. Without a source it is a tmpfs, which alone has `flags` and `options`."""

    source: str
    target: str
    flags: int
    options: str
    #: Whether what is mounted below the source comes along.
    recursive: bool
    propagation: int
    #: Whether nothing can be written below the target: "", "top" for the mount alone, "all", or "all or fail".
    read_only: str


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


def join(pid: int) -> None:
    """Enter the namespaces of a process of ours."""
    for kind in ["mnt"] if os.geteuid() == 0 else ["user", "mnt"]:
        fd = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        _check(_libc.setns(fd, 0))
        os.close(fd)


def unshare() -> None:
    """Give this process a mount namespace of its own."""
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWNS if uid == 0 else _CLONE_NEWNS | _CLONE_NEWUSER))
    if uid != 0:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123  # pathlib would double the supervisor's start
                file.write(text)
    _mount("", "/", "", _SLAVE | _REC)


def open_sources(steps: list[MountStep]) -> list[int]:
    """Return the source of each step as a mount that is nowhere yet, -1 for those without; before the first step."""
    return [_open_tree(step["source"], step["recursive"]) if step["source"] else -1 for step in steps]


def _open_tree(path: str, recursive: bool) -> int:
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _call(_OPEN_TREE, ctypes.c_int(_AT_FDCWD), os.fsencode(path), ctypes.c_uint(flags))


def mount(step: MountStep, source: int) -> None:
    """Do one step."""
    target = step["target"]
    _make_target(target, directory=source < 0 or _is_directory(source))
    if source < 0:
        _mount("tmpfs", target, "tmpfs", step["flags"], step["options"])
        return
    here, there = ctypes.c_int(source), ctypes.c_int(_AT_FDCWD)
    _call(_MOVE_MOUNT, here, b"", there, os.fsencode(target), ctypes.c_uint(_MOVE_MOUNT_F_EMPTY_PATH))
    os.close(source)
    _mount("", target, "", step["propagation"])
    if step["read_only"]:
        _make_read_only(target, step["read_only"])


def _make_read_only(target: str, how: str) -> None:
    attributes = _MountAttributes(set=_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    below = ctypes.c_uint(0 if how == "top" else _AT_RECURSIVE)
    try:
        _call(_MOUNT_SETATTR, ctypes.c_int(_AT_FDCWD), os.fsencode(target), below, ctypes.byref(attributes), size)
    except OSError as error:
        if error.errno != errno.ENOSYS or how == "all or fail":
            raise
    else:
        return
    had = os.statvfs(target).f_flag
    kept = sum(flag for seen, flag in _KEPT if had & seen)
    _mount("", target, "", _REMOUNT | _BIND | _RDONLY | kept)


def _make_target(path: str, *, directory: bool) -> None:
    if os.path.exists(path):  # noqa: PTH110  # as in `unshare`
        return
    os.makedirs(path if directory else os.path.dirname(path), 0o755, exist_ok=True)  # noqa: PTH103, PTH120  # as in `unshare`
    if not directory:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _is_directory(fd: int) -> bool:
    return stat.S_ISDIR(os.fstat(fd).st_mode)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = [os.fsencode(word) or None for word in (source, target, kind)]
    _check(_libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options) or None))


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    _check(int(result < 0))
    return result


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
