"""How a service is reached: its ports and its virtual addresses."""

from collections.abc import Iterable

from skep.model.service import Endpoint, PortConfig, TaskTemplate

from skep_adapters.swarmkit.numbers import uint32
from skep_adapters.swarmkit.wire import objects_pb2, specs_pb2, types_pb2


def render_endpoint(template: TaskTemplate, endpoint: Endpoint | None) -> objects_pb2.Endpoint:
    """Return what a task's service asked for and what it was given; nothing of the latter where it is None."""
    mode = "DNSRR" if template.dnsrr else "VIP"
    return objects_pb2.Endpoint(
        spec=specs_pb2.EndpointSpec(mode=mode, ports=render_ports(template.ports)),
        ports=render_ports(endpoint.ports) if endpoint is not None else None,
        virtual_ips=[
            objects_pb2.Endpoint.VirtualIP(network_id=one.network_id, addr=one.addr)
            for one in (endpoint.virtual_ips if endpoint is not None else ())
        ],
    )


def render_ports(ports: Iterable[PortConfig]) -> list[types_pb2.PortConfig]:
    """Return ports; a word that the protocol lacks counts as not said."""
    protocols, modes = types_pb2.PortConfig.Protocol.keys(), types_pb2.PortConfig.PublishMode.keys()
    return [
        types_pb2.PortConfig(
            name=port.name,
            protocol=port.protocol.upper() if port.protocol.upper() in protocols else "TCP",
            target_port=uint32(port.target_port),
            published_port=uint32(port.published_port),
            publish_mode=port.publish_mode.upper() if port.publish_mode.upper() in modes else "INGRESS",
        )
        for port in ports
    ]
