"""How services enter and leave the indexes over them: names, what they use, what they publish."""

from typing import TypeVar

from skep.core import address_index
from skep.core.state import ClusterState
from skep.model.ids import ConfigId, NetworkId, SecretId, ServiceId
from skep.model.service import Service, ServiceSpec, TaskTemplate

K = TypeVar("K")


def reindex(state: ClusterState) -> None:
    """Build the indexes over services, secrets, configs and networks anew from the tables."""
    state.secret_users, state.config_users, state.network_users = {}, {}, {}
    state.ports, state.host_ports = {}, {}
    state.service_names = {service.spec.name.lower(): service.id for service in state.services.values()}
    state.secret_names = {secret.spec.name: secret.id for secret in state.secrets.values()}
    state.config_names = {config.spec.name: config.id for config in state.configs.values()}
    state.network_names = {network.spec.name: network.id for network in state.networks.values()}
    state.node_services = {service.id: None for service in state.services.values() if service.spec.kind.per_node}
    address_index.reindex(state)
    for service in state.services.values():
        use(state, service.id, service.spec)
        hold_ports(state, service)


def use(state: ClusterState, service_id: ServiceId, spec: ServiceSpec) -> None:
    """Note which secrets, configs and networks a service uses."""
    for network in TaskTemplate.of(spec).networks:
        state.network_users.setdefault(NetworkId(network.target), {})[service_id] = None
    for secret in spec.container.secrets:
        state.secret_users.setdefault(SecretId(secret.secret_id), {})[service_id] = None
    for config in spec.container.configs:
        state.config_users.setdefault(ConfigId(config.config_id), {})[service_id] = None


def disuse(state: ClusterState, service_id: ServiceId, spec: ServiceSpec) -> None:
    """Note that a service uses its secrets, configs and networks no more."""
    for network in TaskTemplate.of(spec).networks:
        _discard_user(state.network_users, NetworkId(network.target), service_id)
    for secret in spec.container.secrets:
        _discard_user(state.secret_users, SecretId(secret.secret_id), service_id)
    for config in spec.container.configs:
        _discard_user(state.config_users, ConfigId(config.config_id), service_id)


def hold_ports(state: ClusterState, service: Service) -> None:
    """Note the ports that a service has, or asks for by number and will be given."""
    for key in ingress_ports(service):
        state.ports[key] = service.id
    for key in host_ports(service):
        state.host_ports.setdefault(key, {})[service.id] = None


def free_ports(state: ClusterState, service: Service) -> None:
    """Note that a service publishes its ports no more."""
    for key in ingress_ports(service):
        if state.ports.get(key) == service.id:
            del state.ports[key]
    for key in host_ports(service):
        _discard_user(state.host_ports, key, service.id)


def ingress_ports(service: Service) -> dict[tuple[str, int], None]:
    """Return what a service holds: (protocol, port)."""
    return _ports(service, ("", "ingress"))


def host_ports(service: Service) -> dict[tuple[str, int], None]:
    """Return what a service publishes on the hosts of its tasks: (protocol, port)."""
    return _ports(service, ("host",))


def _ports(service: Service, modes: tuple[str, ...]) -> dict[tuple[str, int], None]:
    asked = service.spec.endpoint_spec.ports if service.spec.endpoint_spec else ()
    had = service.endpoint.ports if service.endpoint else ()
    return {
        (port.protocol or "tcp", port.published_port): None
        for port in (*had, *asked)
        if port.publish_mode in modes and port.published_port
    }


def _discard_user(index: dict[K, dict[ServiceId, None]], key: K, service_id: ServiceId) -> None:
    users = index.get(key, {})
    users.pop(service_id, None)
    if not users:
        index.pop(key, None)
