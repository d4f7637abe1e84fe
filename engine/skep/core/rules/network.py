"""Rules of a network's spec, in the order and words recorded in scenario 16."""

from ipaddress import ip_address

from skep.core.rejected import Code, Rejected
from skep.core.rules.names import check_dns_name
from skep.core.subnets import parse_subnet
from skep.model.network import PREDEFINED_LABEL, IpamConfig, NetworkSpec

#: Names of networks that every engine has of its own: none that people make may bear them.
LOCAL_NAMES = frozenset({"bridge", "host", "none"})

#: Drivers that networks of a swarm may have; all but the first leave addresses to each node.
DRIVERS = ("", "overlay", "bridge", "ipvlan", "macvlan", "host")

#: The only way of giving addresses that there is.
IPAM_DRIVERS = ("", "default")


def check_network(spec: NetworkSpec) -> None:
    """Reject a spec that a swarm refuses, in its words."""
    driver = spec.driver.name if spec.driver else ""
    if driver not in DRIVERS:
        raise Rejected(Code.NOT_FOUND, f'plugin "{driver}" not found', bare=True)
    for config in spec.ipam.configs if spec.ipam else ():
        _check_range(config)
    if spec.ingress and spec.attachable:
        raise Rejected.invalid("ingress network cannot be attachable")
    check_dns_name(spec.name)
    if PREDEFINED_LABEL in (spec.labels or {}):
        why = "is for internally created predefined networks and cannot be applied by users"
        raise Rejected(Code.PERMISSION_DENIED, f"label {PREDEFINED_LABEL} {why}")
    ipam = spec.ipam.driver.name if spec.ipam and spec.ipam.driver else ""
    if ipam not in IPAM_DRIVERS:
        raise Rejected.invalid(f"error during lookup of plugin {ipam}")


def _check_range(config: IpamConfig) -> None:
    if config.subnet and not is_subnet(config.subnet):
        raise Rejected.unknown(f"Invalid subnet {config.subnet} : invalid CIDR address: {config.subnet}", bare=True)
    if config.ip_range and not is_subnet(config.ip_range):
        raise Rejected.unknown(
            f"Invalid IPRange {config.ip_range} : invalid CIDR address: {config.ip_range}", bare=True
        )
    if config.gateway and not _is_address(config.gateway):
        raise Rejected.unknown(f"Invalid gateway {config.gateway}", bare=True)


def is_subnet(text: str) -> bool:
    """Whether a text is an address and a length: Python takes masks and zones, too, which Go does not."""
    if "%" in text or not text.rpartition("/")[2].isdecimal():
        return False
    try:
        parse_subnet(text)
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
