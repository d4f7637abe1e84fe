"""Credentials for registries: sealed under a key of their service's, and opened for nodes that are to pull its image.

They are kept as the client sends them, base64 of JSON; nobody here reads them. All of a service's are under one key, so
that equal ones are seen, and so that each of its specs can be gone back to with its own. The key ends with the service.
"""

from collections.abc import Iterable

import structlog
from msgspec.structs import replace

from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.model.ids import ServiceId
from skep.model.secret import Sealed
from skep.model.states import TaskState
from skep.ports.clock import Draw
from skep.ports.keyring import Keyring, KeyringError
from skep.ports.link import Action, AssignedTask, AssignmentChange, RegistryAuth
from skep.runtime.sealing import seal, unseal

#: Tokens of registries are up to about 5,000 characters long. Each task of a node bears them, and a message of the
#: worker protocol holds 4 MiB.
CHARACTERS_MAX = 16 * 1024

_log = structlog.get_logger("skep.dispatcher")


def key_of(service_id: ServiceId) -> str:
    """Return the name of a service's key."""
    return f"registry-{service_id}"


async def seal_credentials(keyring: Keyring, service_id: ServiceId, registry_auth: str, *, draw: Draw) -> Sealed | None:
    """Return what a client sent for the registry of a service's image, sealed; None if it sent nothing.

    Raises:
        Rejected: it cannot be credentials. The sentence holds nothing of them.
    """
    if not registry_auth:
        return None
    if len(registry_auth) > CHARACTERS_MAX:
        raise Rejected.invalid(f"credentials of a registry may have {CHARACTERS_MAX} characters", bare=True)
    if not registry_auth.isascii() or not registry_auth.isprintable():
        raise Rejected.invalid("credentials of a registry must be base64", bare=True)
    return await seal(keyring, key_of(service_id), registry_auth.encode(), draw=draw)


async def destroy_key(keyring: Keyring, service_id: ServiceId) -> None:
    """Destroy a service's key, if it has one: few have, and to destroy one takes long."""
    if await keyring.get(key_of(service_id)) is not None:
        await keyring.destroy(key_of(service_id))


class PullCredentials:
    """Opens credentials on the way to a node."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        #: services whose key is lost, which is told once
        self._lost: dict[ServiceId, None] = {}

    async def opened(self, changes: Iterable[AssignmentChange], state: ClusterState) -> list[AssignmentChange]:
        """Return assignments with the credentials of their tasks, as long as they are wanted to run.

        That they have their image by then makes no difference: an engine begins anew to wait for a container when
        anything of its task is not what it was.
        """
        known: dict[Sealed, RegistryAuth | None] = {}
        out = []
        for change in changes:
            task = change.assignment
            if not isinstance(task, AssignedTask) or (sealed := _needed(change.action, task)) is None:
                out.append(change)
                continue
            if sealed not in known:
                known[sealed] = await self._open(task.service_id, sealed, state)
            out.append(replace(change, assignment=replace(task, registry_auth=known[sealed])))
        return out

    async def _open(self, service_id: ServiceId, sealed: Sealed, state: ClusterState) -> RegistryAuth | None:
        try:
            return RegistryAuth((await unseal(self._keyring, sealed)).decode())
        except KeyringError as error:
            # the service was removed, and its tasks are to stop; or the key is lost, and they pull without
            if service_id in state.services and service_id not in self._lost:
                self._lost[service_id] = None
                _log.warning("dispatcher.credentials_unreadable", service_id=service_id, reason=str(error))
            return None


def _needed(action: Action, task: AssignedTask) -> Sealed | None:
    wanted = action is Action.UPDATE and task.desired <= TaskState.COMPLETE and not task.status.state.terminal
    return task.template.credentials if wanted else None
