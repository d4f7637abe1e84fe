"""The parts of a `Cluster`: services, nodes, networks, secrets, configs.

Each verb is one command; each answer is durable.
"""

from typing import Protocol

from msgspec.structs import replace

from skep.core.codec import decode_record
from skep.core.commands import (
    Command,
    CreateConfig,
    CreateNetwork,
    CreateSecret,
    CreateService,
    RebalanceService,
    RemoveConfig,
    RemoveNetwork,
    RemoveNode,
    RemoveSecret,
    RemoveService,
    RollbackService,
    UpdateConfigObject,
    UpdateNode,
    UpdateSecret,
    UpdateService,
)
from skep.core.events import ServiceCreated, ServiceRolledBack, ServiceUpdated
from skep.core.lookup import find_config, find_network, find_node, find_secret, find_service, find_task
from skep.core.record import Actor
from skep.core.rejected import Rejected
from skep.core.rules.secret import check_config, check_secret
from skep.core.state import ClusterState
from skep.model.ids import ConfigId, NetworkId, NodeId, Position, SecretId, ServiceId
from skep.model.network import Network, NetworkSpec
from skep.model.node import Node, NodeSpec
from skep.model.secret import Config, ConfigSpec, Sealed, Secret, SecretSpec
from skep.model.service import Outcome, ReplicatedMode, Service, ServiceMode, ServiceSpec
from skep.model.task import Task
from skep.ports.clock import Ids
from skep.runtime.engine import Engine
from skep.runtime.errors import Unavailable
from skep.runtime.names import new_name
from skep.runtime.pull_credentials import destroy_key, seal_credentials
from skep.runtime.sealing import mac_under, seal

#: Who acts where nobody is named.
EMBEDDED = Actor("person", "embedded")


class Home(Protocol):
    """What the parts need of their cluster."""

    @property
    def engine(self) -> Engine:
        """The running engine; raises `NoSwarm` if there is none."""
        ...

    @property
    def ids(self) -> Ids:
        """The source of ids."""
        ...


class _Part:
    def __init__(self, home: Home) -> None:
        self._home = home

    async def _submit(self, command: Command, actor: Actor, command_id: str = "") -> Position:
        return await self._home.engine.writer.submit(command, actor=actor, command_id=command_id)


class Services(_Part):
    """Services. `ref` is an id, a name, or the unique beginning of an id."""

    async def list(self) -> list[Service]:
        """Return all services, by id."""
        return await self._home.engine.writer.read(lambda s: [s.services[i] for i in sorted(s.services)])

    async def get(self, ref: str) -> Service:
        """Return a service; raise `Rejected` if there is none."""
        return await self._home.engine.writer.read(lambda s: find_service(s, ref))

    async def create(
        self, spec: ServiceSpec, *, registry_auth: str = "", actor: Actor = EMBEDDED, command_id: str = ""
    ) -> ServiceId:
        """Begin a service, and return its id. It converges afterwards: see `Cluster.converged`.

        A spec without a name is given one. `registry_auth` is for nodes that pull its image: base64 of JSON, as clients
        of Docker send it. It is kept sealed.

        Sent twice with the same `command_id` it is created once, and the same id is returned.
        """
        service_id = ServiceId(self._home.ids.new())
        keyring = self._home.engine.store.keyring
        sealed = await self._sealed(service_id, registry_auth)
        try:
            at = await self._submit(CreateService(service_id, self._named(spec), sealed), actor, command_id)
        except (Rejected, Unavailable):
            await destroy_key(keyring, service_id)
            raise
        if not command_id:
            return service_id

        # it may be the second time: the record of the first one has the id
        recorded = await self._home.engine.store.log.read(Position(at - 1), limit=1)
        made = decode_record(recorded[0].body).events if recorded else ()
        known = next((e.service_id for e in made if isinstance(e, ServiceCreated)), service_id)
        if known != service_id:
            await destroy_key(keyring, service_id)
        return known

    async def update(
        self,
        service_id: ServiceId,
        version: int,
        spec: ServiceSpec,
        *,
        registry_auth: str = "",
        previous_registry_auth: bool = False,
        actor: Actor = EMBEDDED,
    ) -> None:
        """Give a service a new spec, based on `version` (of the service as it was read).

        Without `registry_auth` it keeps what it has, or with `previous_registry_auth` what its previous spec had.
        """
        if registry_auth:
            await self.get(service_id)  # what is not there gets no key
        sealed = await self._sealed(service_id, registry_auth)
        await self._submit(
            UpdateService(service_id, Position(version), self._named(spec), sealed, previous_registry_auth), actor
        )

    async def _sealed(self, service_id: ServiceId, registry_auth: str) -> Sealed | None:
        engine = self._home.engine
        return await seal_credentials(engine.store.keyring, service_id, registry_auth, draw=engine.draw)

    def _named(self, spec: ServiceSpec) -> ServiceSpec:
        """Return `spec` with a name, made up where it has none; on an update too, which then renames (recorded)."""
        return spec if spec.name else replace(spec, name=new_name(self._home.ids))

    async def scale(self, ref: str, replicas: int, *, actor: Actor = EMBEDDED) -> None:
        """Give a replicated service another number of replicas, or run a replicated job again, so many times."""
        service = await self.get(ref)
        mode = service.spec.mode or ServiceMode(replicated=ReplicatedMode())
        if mode.replicated is not None:
            mode = ServiceMode(replicated=ReplicatedMode(replicas))
        elif mode.replicated_job is not None:
            mode = ServiceMode(replicated_job=replace(mode.replicated_job, total_completions=replicas))
        else:
            raise Rejected.invalid(f"service {service.spec.name} is not replicated")
        await self.update(service.id, service.version, replace(service.spec, mode=mode), actor=actor)

    async def rollback(
        self, service_id: ServiceId, version: int, *, to: int | None = None, actor: Actor = EMBEDDED
    ) -> None:
        """Give a service its previous spec again, or the one that was set at the position `to` (see `specs`)."""
        if to is None:
            await self._submit(RollbackService(service_id, Position(version)), actor)
            return
        then = await self._set_at(service_id, to)
        message = f"manually requested rollback to {to}"
        command = RollbackService(
            service_id,
            Position(version),
            message=message,
            to=Position(to),
            spec=then.spec,
            credentials=then.credentials,
        )
        await self._submit(command, actor)

    async def rebalance(self, ref: str, *, budget: int, actor: Actor = EMBEDDED) -> None:
        """Spread a replicated service's tasks anew: at most `budget` of them move, each after the one before runs.

        It goes on afterwards, and the log says how it ended. Nothing is ever moved unasked.
        """
        service = await self.get(ref)
        await self._submit(RebalanceService(service.id, budget), actor)

    async def specs(self, ref: str) -> tuple[Position, ...]:
        """Return the positions at which a service's specs were set, oldest first; the last is the present one."""
        return await self._home.engine.writer.read(lambda s: tuple(s.spec_positions[find_service(s, ref).id]))

    async def spec_at(self, ref: str, position: int) -> ServiceSpec:
        """Return the spec that a service was given at `position`, from the log; `Rejected` if it was given none."""
        return (await self._set_at(ref, position)).spec

    async def _set_at(self, ref: str, position: int) -> ServiceCreated | ServiceUpdated | ServiceRolledBack:
        service = await self.get(ref)
        if position in await self.specs(service.id):
            recorded = await self._home.engine.store.log.read(Position(position - 1), limit=1)
            for event in decode_record(recorded[0].body).events if recorded else ():
                if not isinstance(event, ServiceCreated | ServiceUpdated | ServiceRolledBack):
                    continue
                if event.service_id == service.id:
                    return event
        raise Rejected.invalid(f"service {service.spec.name} was not specified at position {position}")

    async def outcomes(self, ref: str) -> tuple[Outcome, ...]:
        """Return how the last updates and rollbacks of a service ended, oldest first."""
        return await self._home.engine.writer.read(lambda s: s.outcomes.get(find_service(s, ref).id, ()))

    async def remove(self, service_id: ServiceId, *, actor: Actor = EMBEDDED) -> None:
        """End a service, and destroy the key of its credentials; its tasks stop afterwards."""
        keyring = self._home.engine.store.keyring
        await self._submit(RemoveService(service_id), actor)
        await destroy_key(keyring, service_id)


class Nodes(_Part):
    """Nodes. `ref` is an id, a host name, or the unique beginning of an id."""

    async def list(self) -> list[Node]:
        """Return all nodes, by id."""
        return await self._home.engine.writer.read(lambda s: [s.nodes[i] for i in sorted(s.nodes)])

    async def get(self, ref: str) -> Node:
        """Return a node; raise `Rejected` if there is none."""
        return await self._home.engine.writer.read(lambda s: find_node(s, ref))

    async def update(self, node_id: NodeId, version: int, spec: NodeSpec, *, actor: Actor = EMBEDDED) -> None:
        """Give a node a new spec: labels, role, availability."""
        await self._submit(UpdateNode(node_id, Position(version), spec), actor)

    async def remove(self, node_id: NodeId, *, force: bool = False, actor: Actor = EMBEDDED) -> None:
        """Strike a node from the members."""
        await self._submit(RemoveNode(node_id, force), actor)


class Tasks(_Part):
    """Tasks."""

    async def list(self, service: str | None = None) -> list[Task]:
        """Return all tasks, or those of one service, oldest first."""

        def ask(state: ClusterState) -> "list[Task]":
            if service is None:
                return [*state.tasks.values()]
            return [*state.tasks_of(find_service(state, service).id)]

        return await self._home.engine.writer.read(ask)

    async def get(self, ref: str) -> Task:
        """Return a task by id; raise `Rejected` if there is none."""
        return await self._home.engine.writer.read(lambda s: find_task(s, ref))


class Networks(_Part):
    """Networks of the swarm. `ref` is an id, a name, or the unique beginning of an id."""

    async def list(self) -> list[Network]:
        """Return all networks, by id: the one of published ports, `ingress`, too, and the predefined ones not."""
        return await self._home.engine.writer.read(
            lambda s: [s.networks[i] for i in sorted(s.networks) if not s.networks[i].predefined]
        )

    async def get(self, ref: str) -> Network:
        """Return a network; raise `Rejected` if there is none."""
        return await self._home.engine.writer.read(lambda s: find_network(s, ref))

    async def create(self, spec: NetworkSpec, *, actor: Actor = EMBEDDED) -> NetworkId:
        """Begin a network, and return its id; it has its subnets when this returns, if they can be had."""
        network_id = NetworkId(self._home.ids.new())
        await self._submit(CreateNetwork(network_id, spec), actor)
        return network_id

    async def remove(self, network_id: NetworkId, *, actor: Actor = EMBEDDED) -> None:
        """End a network that no service uses."""
        await self._submit(RemoveNetwork(network_id), actor)


class Secrets(_Part):
    """Secrets. Their data goes in, and reaches the tasks that use it; it never comes out here."""

    async def list(self) -> list[Secret]:
        """Return all secrets, by id."""
        return await self._home.engine.writer.read(lambda s: [s.secrets[i] for i in sorted(s.secrets)])

    async def get(self, ref: str) -> Secret:
        """Return a secret, sealed; raise `Rejected` if there is none."""
        return await self._home.engine.writer.read(lambda s: find_secret(s, ref))

    async def create(self, spec: SecretSpec, data: bytes, *, actor: Actor = EMBEDDED) -> SecretId:
        """Begin a secret, sealed under a key of its own, and return its id."""
        check_secret(spec, len(data))
        secret_id = SecretId(self._home.ids.new())
        keyring = self._home.engine.store.keyring
        key_id = f"secret-{secret_id}"
        sealed = await seal(keyring, key_id, data)
        try:
            await self._submit(CreateSecret(secret_id, spec, sealed, len(data)), actor)
        except (Rejected, Unavailable):
            await keyring.destroy(key_id)
            raise
        return secret_id

    async def update(
        self, secret_id: SecretId, version: int, spec: SecretSpec, data: bytes | None = None, *, actor: Actor = EMBEDDED
    ) -> None:
        """Give a secret new labels. Data that differs from the secret's is rejected."""
        mac = b""
        if data:
            secret = await self.get(secret_id)
            if secret.sealed is not None:
                mac = await mac_under(self._home.engine.store.keyring, secret.sealed, data)
        await self._submit(UpdateSecret(secret_id, Position(version), spec, mac), actor)

    async def remove(self, secret_id: SecretId, *, actor: Actor = EMBEDDED) -> None:
        """End a secret, and destroy the key of its data: when this returns, nothing can read it again."""
        keyring = self._home.engine.store.keyring
        await self._submit(RemoveSecret(secret_id), actor)
        await keyring.destroy(f"secret-{secret_id}")


class Configs(_Part):
    """Configs."""

    async def list(self) -> list[Config]:
        """Return all configs, by id."""
        return await self._home.engine.writer.read(lambda s: [s.configs[i] for i in sorted(s.configs)])

    async def get(self, ref: str) -> Config:
        """Return a config; raise `Rejected` if there is none."""
        return await self._home.engine.writer.read(lambda s: find_config(s, ref))

    async def create(self, spec: ConfigSpec, *, actor: Actor = EMBEDDED) -> ConfigId:
        """Begin a config, and return its id."""
        check_config(spec)
        config_id = ConfigId(self._home.ids.new())
        await self._submit(CreateConfig(config_id, spec), actor)
        return config_id

    async def update(self, config_id: ConfigId, version: int, spec: ConfigSpec, *, actor: Actor = EMBEDDED) -> None:
        """Give a config new labels. Data that differs from the config's is rejected."""
        await self._submit(UpdateConfigObject(config_id, Position(version), spec), actor)

    async def remove(self, config_id: ConfigId, *, actor: Actor = EMBEDDED) -> None:
        """End a config."""
        await self._submit(RemoveConfig(config_id), actor)
