"""Needs: all that filters ask of a node for the tasks of a template.

Tasks with the same needs form a class, whatever their service. Most need nothing, and of those nothing is kept.
"""

from collections.abc import Mapping

from msgspec import Struct

from skep.core.holdings import Demand, demand_of
from skep.model.container import ContainerSpec
from skep.model.ids import NetworkId
from skep.model.network import Network
from skep.model.service import Placement, Platform, TaskTemplate

NODE_LABEL = "node.labels."
ENGINE_LABEL = "engine.labels."

#: Drivers of networks that every engine brings along.
_BUILT_IN = frozenset({"", "overlay", "bridge", "host", "null", "none", "macvlan", "ipvlan"})


class Needs(Struct, frozen=True):
    """All that filters ask of a node for a task.

    `plugins` are pairs of type and name; `spread` are the labels to spread over, the first one first.
    """

    constraints: tuple[str, ...] = ()
    platforms: tuple[Platform, ...] = ()
    plugins: tuple[tuple[str, str], ...] = ()
    demand: Demand | None = None
    spread: tuple[str, ...] = ()
    max_replicas: int = 0


NO_NEEDS = Needs()
ANYWHERE = Placement()
NO_CONTAINER = ContainerSpec()


def needs_of(networks: Mapping[NetworkId, Network], template: TaskTemplate) -> Needs:
    """Return the needs of the tasks of a template; NO_NEEDS itself if there are none."""
    spec = template.spec
    if (
        spec.placement is None
        and spec.resources is None
        and spec.log_driver is None
        and not template.ports
        and not template.networks
        and (spec.container_spec is None or not spec.container_spec.mounts)
    ):
        return NO_NEEDS
    placement = spec.placement or ANYWHERE
    needs = Needs(
        placement.constraints,
        placement.platforms,
        _plugins(networks, template),
        demand_of(template) if template.ports or spec.resources is not None else None,
        _labels(placement),
        placement.max_replicas,
    )
    return NO_NEEDS if needs == NO_NEEDS else needs


def _labels(placement: Placement) -> tuple[str, ...]:
    said = (preference.spread.spread_descriptor for preference in placement.preferences if preference.spread)
    return tuple(label for label in said if _is_label(label))


def _is_label(descriptor: str) -> bool:
    lower = descriptor.lower()
    return any(lower.startswith(kind) and len(lower) > len(kind) for kind in (NODE_LABEL, ENGINE_LABEL))


def _plugins(networks: Mapping[NetworkId, Network], template: TaskTemplate) -> tuple[tuple[str, str], ...]:
    wanted: dict[tuple[str, str], None] = {}
    for mount in (template.spec.container_spec or NO_CONTAINER).mounts:
        driver = mount.volume_options.driver_config if mount.volume_options is not None else None
        if mount.type == "volume" and driver is not None and driver.name not in ("", "local"):
            wanted["Volume", driver.name] = None
    for attachment in template.networks:
        network = networks.get(NetworkId(attachment.target))
        name = network.spec.driver.name if network is not None and network.spec.driver is not None else ""
        if name not in _BUILT_IN:
            wanted["Network", name] = None
    log = template.spec.log_driver
    if log is not None and log.name not in ("", "none"):
        wanted["Log", log.name] = None
    return tuple(wanted)
