"""Who a task runs as: `uid`, `uid:gid`, `name`, `name:group`, as in a container spec; looked up on this machine."""

import grp
import os
import pwd
from collections.abc import Sequence

from msgspec import Struct


class UnknownUserError(Exception):
    """There is no such user or group here, or the agent may not become it."""


class Account(Struct, frozen=True):
    """A user as the kernel knows it. `change` says whether the agent must change to it."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str
    change: bool


def find_account(user: str, groups: Sequence[str]) -> Account:
    """Return the account that `user` and the supplementary `groups` name; the agent's own where nothing is said.

    A number needs no entry in passwd; its group is then the number too (a container's would be root's).

    Raises:
        UnknownUserError: with Docker's words where it has them.
    """
    name, colon, group = user.partition(":")
    entry = _passwd(name) if name else _own()
    uid = entry.pw_uid if entry else int(name)
    gid = _group(group) if colon and group else (entry.pw_gid if entry else uid)
    named = () if colon or entry is None else _memberships(entry)
    account = Account(
        uid=uid,
        gid=gid,
        groups=tuple(dict.fromkeys((*named, *map(_group, groups)))),
        name=entry.pw_name if entry else name,
        home=(entry.pw_dir if entry else "") or "/",
        change=bool(user or groups),
    )
    if account.change and os.geteuid() != 0:
        return _without_change(account, user, bool(groups))
    return account


def _without_change(account: Account, user: str, more_groups: bool) -> Account:
    """Return the account as an agent that is not root can have it: its own, or none."""
    if account.uid != os.geteuid() or account.gid != os.getegid() or more_groups:
        raise UnknownUserError(
            f"the agent runs as uid {os.geteuid()}, which cannot become user {user or account.name}: "
            f"run the agent as root, or leave the user and groups out"
        )
    return Account(account.uid, account.gid, (), account.name, account.home, change=False)


def _own() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(os.geteuid())
    except KeyError:
        return pwd.struct_passwd((str(os.geteuid()), "x", os.geteuid(), os.getegid(), "", "/", ""))


def _passwd(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        if not name.isdecimal():
            raise UnknownUserError(f"unable to find user {name}: no matching entries in passwd file") from None
    try:
        return pwd.getpwuid(int(name))
    except KeyError:
        return None


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if name.isdecimal():
            return int(name)
        raise UnknownUserError(f"unable to find group {name}: no matching entries in group file") from None


def _memberships(entry: pwd.struct_passwd) -> list[int]:
    return os.getgrouplist(entry.pw_name, entry.pw_gid)
