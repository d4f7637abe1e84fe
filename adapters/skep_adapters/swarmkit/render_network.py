"""Networks as dockerd makes them."""

import ipaddress

from skep.model.container import Driver
from skep.model.network import VNI_OPTION, Ipam, IpamConfig, Network

from skep_adapters.swarmkit.render_driver import render_annotations, render_driver, render_meta
from skep_adapters.swarmkit.wire import objects_pb2, specs_pb2, types_pb2

#: Who gives the addresses of an overlay.
_IPAM_DRIVER = "default"


def render_network(network: Network) -> objects_pb2.Network:
    """Return a network.

    `driver_state` and `ipam.driver` are there always, since dockerd looks into them: a network of each node's own has
    the name of its driver, and an IPAM driver without a name.
    """
    return objects_pb2.Network(
        id=network.id,
        meta=render_meta(network.version, network.created_at, network.updated_at),
        spec=_spec(network),
        driver_state=_driver_state(network),
        ipam=_ipam(network),
    )


def _spec(network: Network) -> specs_pb2.NetworkSpec:
    spec = network.spec
    return specs_pb2.NetworkSpec(
        annotations=render_annotations(spec.name, spec.labels),
        driver_config=render_driver(spec.driver),
        ipv6_enabled=spec.ipv6,
        internal=spec.internal,
        ipam=_asked(spec.ipam) if spec.ipam is not None else None,
        attachable=spec.attachable,
        ingress=spec.ingress,
        network=spec.config_from or None,
    )


def _asked(ipam: Ipam) -> types_pb2.IPAMOptions:
    return types_pb2.IPAMOptions(
        driver=render_driver(ipam.driver or Driver()), configs=[_range(one) for one in ipam.configs]
    )


def _driver_state(network: Network) -> types_pb2.Driver:
    driver = network.spec.driver or Driver()
    if not network.spec.overlay:
        return types_pb2.Driver(name=driver.name)
    vnis = {VNI_OPTION: ",".join(map(str, network.vnis))} if network.vnis else {}
    return types_pb2.Driver(name="overlay", options=driver.options | vnis)


def _ipam(network: Network) -> types_pb2.IPAMOptions:
    if not network.spec.overlay:
        return types_pb2.IPAMOptions(driver=types_pb2.Driver())
    said = network.spec.ipam.driver if network.spec.ipam is not None else None
    return types_pb2.IPAMOptions(
        driver=types_pb2.Driver(name=_IPAM_DRIVER, options=said.options if said is not None else None),
        configs=[_range(one) for one in network.ranges],
    )


def _range(config: IpamConfig) -> types_pb2.IPAMConfig:
    return types_pb2.IPAMConfig(
        family=_family(config.subnet), subnet=config.subnet, range=config.ip_range, gateway=config.gateway
    )


def _family(subnet: str) -> str:
    try:
        return f"IPV{ipaddress.ip_network(subnet, strict=False).version}"
    except ValueError:
        return "UNKNOWN"
