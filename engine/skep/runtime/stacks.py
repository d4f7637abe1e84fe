"""Stacks of a cluster: deployed as one change, with their history, and gone back to as a whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from skep.core.commands import (
    Command,
    CreateSecret,
    RemoveConfig,
    RemoveNetwork,
    RemoveSecret,
    RemoveService,
    UpdateSecret,
)
from skep.core.record import Actor
from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.history.deployments import WHOLE, Deployment, StackHistory, read_history
from skep.model.ids import NetworkId, Position
from skep.model.service import Service
from skep.model.stack import StackSpec, stack_of
from skep.ports.stack_files import StackFileError, StackFiles
from skep.runtime.errors import Unavailable
from skep.runtime.facades import EMBEDDED, Home
from skep.runtime.pull_credentials import destroy_key
from skep.runtime.sealing import mac_under, seal
from skep.runtime.stack_changes import StackChange, change_for, check_same
from skep.runtime.stack_returns import change_back

#: So often is a change thought out anew because somebody else changed the same in between.
ATTEMPTS_MAX = 5

#: What names a stack. Names of its services begin with it, and those hold 63 characters.
NAME_CHARACTERS_MAX = 60


class StackHome(Home, Protocol):
    """What stacks need of their cluster."""

    @property
    def stack_files(self) -> StackFiles | None:
        """Who reads stack files, if anybody does."""
        ...


class Stack(Struct, frozen=True):
    """A stack: its name, and how many services it has."""

    name: str
    services: int


class Deployed(Struct, frozen=True):
    """What was done to a stack, by the names of its services. `position` is the record's; 0 if all was so already."""

    position: Position
    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Stacks:
    """Stacks, by their names."""

    def __init__(self, home: StackHome) -> None:
        self._home = home

    async def list(self) -> list[Stack]:
        """Return the stacks that have services, by name."""

        def ask(state: ClusterState) -> dict[str, int]:
            counts: dict[str, int] = {}
            for service in state.services.values():
                if name := stack_of(service.spec.labels):
                    counts[name] = counts.get(name, 0) + 1
            return counts

        counts = await self._home.engine.writer.read(ask)
        return [Stack(name, counts[name]) for name in sorted(counts)]

    async def services(self, name: str) -> tuple[Service, ...]:
        """Return the services of a stack, by name; none where there is no such stack."""
        found = await self._home.engine.writer.read(lambda state: _services(state, name))
        return tuple(sorted(found, key=lambda service: service.spec.name))

    async def deploy(
        self,
        compose_file: str | Path | Sequence[str | Path],
        *,
        name: str,
        env: Mapping[str, str] | None = None,
        env_files: Sequence[str | Path] = (),
        prune: bool = False,
        actor: Actor = EMBEDDED,
    ) -> Deployed:
        """Make the stack `name` what Compose files say, as one change: all of it, or nothing.

        Of several files, each is laid over those before it. Variables in them are `env`, and below it those of
        `env_files`; the environment of the process is not asked. With `prune`, services of the stack that no file
        names are removed.

        Raises:
            StackFileError: a file cannot be read, or is wrong; the message says where.
            Rejected: the cluster refuses it.
        """
        if self._home.stack_files is None:
            raise StackFileError("nobody here reads stack files: give `stack_files=` to Cluster.open")
        files = [compose_file] if isinstance(compose_file, str | Path) else compose_file
        read = await self._home.stack_files.read(
            [Path(file) for file in files], name=name, env=env or {}, env_files=[Path(file) for file in env_files]
        )
        deployed = await self.apply(read.stack, prune=prune, actor=actor)
        return replace(deployed, warnings=(*read.warnings, *deployed.warnings))

    async def apply(self, stack: StackSpec, *, prune: bool = False, actor: Actor = EMBEDDED) -> Deployed:
        """Make a stack what `stack` says, as one change.

        An image without a digest, which is what it was at the last deployment, keeps the digest that it has.
        """
        _check_name(stack.name)
        return await self._change(
            f"deploy:{stack.name}",
            lambda state: change_for(state, stack, draw_id=self._home.ids.new, prune=prune),
            actor,
        )

    async def history(self, name: str) -> tuple[Deployment, ...]:
        """Return the deployments of a stack, oldest first: also those of Docker's client, and of a removed stack.

        Raises:
            Rejected: there was never such a stack.
        """
        return (await self._history(name)).deployments

    async def rollback(self, name: str, *, to: int, actor: Actor = EMBEDDED) -> Deployed:
        """Bring all services of a stack back to what they were after its deployment `to`: a new change.

        Raises:
            Rejected: there is no such deployment, or a secret or config that it needs is gone.
        """
        history = await self._history(name)
        if not 1 <= to <= len(history.deployments):
            known = len(history.deployments)
            raise Rejected.invalid(f"stack {name} has no deployment {to}: its newest is {known}", bare=True)
        then = history.deployments[to - 1]
        return await self._change(
            f"rollback:{name}",
            lambda state: change_back(state, name, then, history.networks, draw_id=self._home.ids.new),
            actor,
        )

    async def remove(self, name: str, *, actor: Actor = EMBEDDED) -> Deployed:
        """End the services, secrets and configs of a stack as one change, and then its networks.

        Raises:
            Rejected: there is no such stack, or something of it is used by others.
        """
        engine = self._home.engine

        def ask(state: ClusterState) -> tuple[list[Service], list[Command], list[NetworkId]]:
            services = _services(state, name)
            secrets = [s for s in state.secrets.values() if stack_of(s.spec.labels) == name]
            configs = [c for c in state.configs.values() if stack_of(c.spec.labels) == name]
            networks = [n.id for n in state.networks.values() if stack_of(n.spec.labels) == name]
            commands: list[Command] = [RemoveService(service.id) for service in services]
            commands += [RemoveSecret(secret.id) for secret in secrets]
            commands += [RemoveConfig(config.id) for config in configs]
            return services, commands, networks

        services, commands, networks = await engine.writer.read(ask)
        if not commands and not networks:
            raise Rejected.not_found("stack", name, bare=True)
        position = Position(0)
        if commands:
            position = await engine.writer.submit(*commands, actor=actor)
        for service in services:
            await destroy_key(engine.store.keyring, service.id)
        for command in commands:
            if isinstance(command, RemoveSecret):
                await engine.store.keyring.destroy(f"secret-{command.secret_id}")
        # a second change: networks are free only when the plans have heard that their tasks are to stop
        if networks:
            position = await engine.writer.submit(*(RemoveNetwork(network) for network in networks), actor=actor)
        return Deployed(position, removed=tuple(sorted(service.spec.name for service in services)))

    async def _history(self, name: str) -> StackHistory:
        engine = self._home.engine
        positions = await engine.writer.read(lambda state: tuple(state.stack_positions.get(name, ())))
        if not positions:
            raise Rejected.not_found("stack", name, bare=True)
        return await read_history(engine.store.log, name, positions)

    async def _change(self, what: str, think: "Think", actor: Actor) -> Deployed:
        """Submit a change as one record; think it out anew when somebody else was faster."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            change = await self._home.engine.writer.read(think)
            try:
                position = await self._submit(what, change, actor)
            except Rejected as rejected:
                if attempt == ATTEMPTS_MAX or str(rejected) != str(Rejected.out_of_sequence()):
                    raise
                continue
            return Deployed(
                position,
                created=tuple(sorted(change.created)),
                updated=tuple(sorted(change.updated)),
                removed=tuple(sorted(change.pruned)),
                unchanged=tuple(sorted(change.unchanged)),
            )
        raise Rejected.out_of_sequence()

    async def _submit(self, what: str, change: StackChange, actor: Actor) -> Position:
        engine = self._home.engine
        keyring = engine.store.keyring
        commands = [*change.removed, *change.made]
        for secret, one in change.kept:
            mac = b""
            if secret.sealed is not None and one.data:
                mac = await mac_under(keyring, secret.sealed, one.data)
                check_same("secret", one.spec.name, same=mac == secret.sealed.mac)
            if (one.spec.labels or {}) != (secret.spec.labels or {}):
                commands.append(UpdateSecret(secret.id, secret.version, one.spec, mac))
        if not commands and not change.services:
            return Position(0)
        made: list[str] = []
        try:
            for place, command in enumerate(commands):
                if isinstance(command, CreateSecret):
                    key_id = f"secret-{command.secret_id}"
                    made.append(key_id)
                    sealed = await seal(keyring, key_id, change.secrets[command.secret_id].data)
                    commands[place] = replace(command, sealed=sealed)
            position = await engine.writer.submit(
                *commands, *change.services, actor=actor, command_id=f"{WHOLE}{what}:{self._home.ids.new()}"
            )
        except (Rejected, Unavailable):
            for key_id in made:
                await keyring.destroy(key_id)
            raise
        for service_id in change.goes:
            await destroy_key(keyring, service_id)
        return position


class Think(Protocol):
    """How a change follows from a state."""

    def __call__(self, state: ClusterState, /) -> StackChange:
        """Return it."""
        ...


def _services(state: ClusterState, name: str) -> list[Service]:
    return [service for service in state.services.values() if stack_of(service.spec.labels) == name]


def _check_name(name: str) -> None:
    if not name or len(name) > NAME_CHARACTERS_MAX or name != name.strip() or not name.isprintable():
        raise Rejected.invalid(f"a stack's name has 1 to {NAME_CHARACTERS_MAX} characters, not {name!r}", bare=True)
