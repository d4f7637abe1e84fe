"""Networks: what a person asks for, and what the allocator gives. Names are the Engine API's."""

from msgspec import Struct, field

from skep.model.container import Driver, Part
from skep.model.ids import Instant, NetworkId, Position

#: The option of the driver that says a network's VXLAN ids, separated by commas.
VNI_OPTION = "com.docker.network.driver.overlay.vxlanid_list"

#: The label of the swarm's networks that stand for those which every engine has of its own.
PREDEFINED_LABEL = "com.docker.swarm.predefined"

#: The names of these; each is its driver's, too. `none` is not among them (recorded in scenario 15).
PREDEFINED = ("bridge", "host")


class IpamConfig(Part, frozen=True):
    """A range of addresses: `subnet` and `ip_range` in CIDR, `gateway` an address."""

    subnet: str = ""
    ip_range: str = field(default="", name="IPRange")
    gateway: str = ""


class Ipam(Part, frozen=True):
    """How a network gets its addresses."""

    driver: Driver | None = None
    configs: tuple[IpamConfig, ...] = ()


class NetworkSpec(Part, frozen=True):
    """What a person wants of a network of the swarm's scope."""

    name: str = ""
    labels: dict[str, str] | None = None
    driver: Driver | None = None
    ipv6: bool = field(default=False, name="IPv6Enabled")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    ipam: Ipam | None = field(default=None, name="IPAMOptions")
    #: the network of each node from which that takes all else; none if it is empty
    config_from: str = ""

    @property
    def overlay(self) -> bool:
        """Whether the swarm gives it addresses: those of any other driver are each node's own affair."""
        return self.driver is None or self.driver.name in ("", "overlay")

    @property
    def encrypted(self) -> bool:
        """Whether traffic between nodes is encrypted: said by an option's presence."""
        return self.driver is not None and "encrypted" in self.driver.options


class NetworkAddress(Struct, frozen=True, gc=False):
    """An address on a network, with its prefix length: `10.0.1.3/24`."""

    network_id: NetworkId
    addr: str


class Network(Struct, frozen=True, kw_only=True):
    """A network as the swarm keeps it; `version` and `written` as of a service.

    `vnis` are its VXLAN ids and `ranges` its addresses, one for each subnet: none until the allocator gave them.
    """

    id: NetworkId
    spec: NetworkSpec
    version: Position
    written: Position
    created_at: Instant
    updated_at: Instant
    vnis: tuple[int, ...] = ()
    ranges: tuple[IpamConfig, ...] = ()

    @property
    def allocated(self) -> bool:
        """Whether it has all that it will ever be given."""
        return bool(self.ranges) or not self.spec.overlay

    @property
    def predefined(self) -> bool:
        """Whether it stands for a network that every engine has of its own; no other may bear these names."""
        return self.spec.name in PREDEFINED


#: What `swarm init` makes for the ports that services publish on every node (recorded in scenario 25).
INGRESS = NetworkSpec(name="ingress", labels={}, driver=Driver(), ingress=True, ipam=Ipam(driver=Driver()))
