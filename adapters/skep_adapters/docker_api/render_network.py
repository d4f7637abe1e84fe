"""Networks as the API shows them: on their own, and within tasks (recorded in scenarios 16 and 25)."""

from collections.abc import Iterable
from typing import Any

from skep.core.state import ClusterState
from skep.model.attachment import Attachment
from skep.model.container import Driver
from skep.model.ids import NetworkId
from skep.model.network import VNI_OPTION, IpamConfig, Network
from skep.model.task import Given, Task

from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.times import rfc3339

#: What an overlay says where addresses are given one after another, if it says anything (recorded).
_SERIAL = {"com.docker.network.ipam.serial": "true"}


def render_network(network: Network) -> dict[str, Any]:
    """Return a network; what containers of this very machine are on it is not known here."""
    return {
        "Name": network.spec.name,
        "Id": network.id,
        "Created": rfc3339(network.created_at),
        "Scope": "swarm",
        "Driver": driver_of(network),
        "EnableIPv6": network.spec.ipv6,
        "IPAM": _ipam(network),
        "Internal": network.spec.internal,
        "Attachable": network.spec.attachable,
        "Ingress": network.spec.ingress,
        "ConfigFrom": {"Network": network.spec.config_from},
        "ConfigOnly": False,
        "Containers": None,
        "Options": _options(network) or None,
        # of none a node says nothing until a task of it is on the network
        "Labels": network.spec.labels or None,
    }


class Attachments:
    """What tasks, and containers that people attached, were given, rendered: they share their networks."""

    def __init__(self, state: ClusterState, tasks: Iterable[Task], attached: Iterable[Attachment] = ()) -> None:
        self._given = {task.id: state.given[task.id] for task in tasks if task.id in state.given}
        self._given |= {one.id: Given(addresses=(one.address,)) for one in attached}
        self._networks = dict(state.networks) if self._given else {}
        self._rendered: dict[NetworkId, dict[str, Any]] = {}

    def render(self, task: Task | Attachment) -> list[dict[str, Any]]:
        """Return the networks of a task, with its addresses, as far as they are still there."""
        given = self._given.get(task.id)
        return [
            {"Network": self._network(one.network_id)} | ({"Addresses": [one.addr]} if one.addr else {})
            for one in (given.addresses if given is not None else ())
            if one.network_id in self._networks
        ]

    def resources(self, task: Task) -> list[dict[str, Any]]:
        """Return the generic resources of its node that a task has."""
        given = self._given.get(task.id)
        rendered: list[dict[str, Any]] = render(given.resources) if given is not None else []
        return rendered

    def _network(self, network_id: NetworkId) -> dict[str, Any]:
        found = self._rendered.get(network_id)
        if found is None:
            found = self._rendered[network_id] = _within_task(self._networks[network_id])
        return found


def driver_of(network: Network) -> str:
    """Return the driver of a network; an overlay has none until it has addresses (recorded in scenario 16)."""
    if network.spec.driver is not None and not network.spec.overlay:
        return network.spec.driver.name
    return "overlay" if network.ranges else ""


def _options(network: Network) -> dict[str, str]:
    """Return the options of an allocated network's driver, by name."""
    if not network.ranges:
        return {}
    said = network.spec.driver.options if network.spec.driver else {}
    options = said | {VNI_OPTION: ",".join(map(str, network.vnis))}
    return dict(sorted(options.items()))


def _ipam(network: Network) -> dict[str, Any]:
    if not network.ranges:
        return {"Driver": "", "Options": None, "Config": None if network.spec.overlay else []}
    said = network.spec.ipam.driver if network.spec.ipam else None
    options = dict(sorted((said.options | _SERIAL).items())) if said is not None and said.options else None
    return {"Driver": "default", "Options": options, "Config": render(network.ranges)}


def _within_task(network: Network) -> dict[str, Any]:
    document: dict[str, Any] = {
        "ID": network.id,
        "Version": {"Index": network.version},
        "CreatedAt": rfc3339(network.created_at),
        "UpdatedAt": rfc3339(network.updated_at),
        "Spec": _spec(network),
        "DriverState": {"Name": driver_of(network)},
    }
    if options := _options(network):
        document["DriverState"]["Options"] = options
    document["IPAMOptions"] = {"Driver": {}}
    if network.ranges:
        document["IPAMOptions"] = {"Driver": {"Name": "default"}, "Configs": _configs(network.ranges)}
    return document


def _configs(ranges: tuple[IpamConfig, ...]) -> list[dict[str, str]]:
    """Return ranges as tasks show them, where one field has another name."""
    named = ((("Subnet", one.subnet), ("Range", one.ip_range), ("Gateway", one.gateway)) for one in ranges)
    return [{name: value for name, value in fields if value} for fields in named]


def _spec(network: Network) -> dict[str, Any]:
    spec = network.spec
    document: dict[str, Any] = {"Name": spec.name, "Labels": spec.labels or {}}
    document["DriverConfiguration"] = render(spec.driver or Driver())
    flags = (
        ("IPv6Enabled", spec.ipv6),
        ("Internal", spec.internal),
        ("Attachable", spec.attachable),
        ("Ingress", spec.ingress),
    )
    document |= {name: True for name, said in flags if said}
    if spec.ipam is not None:
        document["IPAMOptions"] = {"Driver": render(spec.ipam.driver or Driver())}
        if spec.ipam.configs:
            # a gateway that was given stands in the spec too (recorded in scenario 30)
            document["IPAMOptions"]["Configs"] = _configs(network.ranges or spec.ipam.configs)
    if spec.config_from:
        document["ConfigFrom"] = {"Network": spec.config_from}
    document["Scope"] = "swarm"
    return document
