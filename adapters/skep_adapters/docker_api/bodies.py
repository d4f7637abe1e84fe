"""Bodies of requests that are no object's spec."""

from msgspec import field
from skep.model.container import Driver, Part
from skep.model.network import IpamConfig
from skep.model.swarm import SwarmSpec


class InitBody(Part, frozen=True):
    """POST /swarm/init."""

    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    data_path_port: int = 0
    force_new_cluster: bool = False
    spec: SwarmSpec | None = None
    auto_lock_managers: bool = False
    availability: str = ""
    default_addr_pool: tuple[str, ...] = ()
    subnet_size: int = 0


class JoinBody(Part, frozen=True):
    """POST /swarm/join."""

    listen_addr: str = ""
    advertise_addr: str = ""
    data_path_addr: str = ""
    remote_addrs: tuple[str, ...] = ()
    join_token: str = ""
    availability: str = ""


class UnlockBody(Part, frozen=True):
    """POST /swarm/unlock."""

    unlock_key: str = ""


class SecretBody(Part, frozen=True):
    """A secret's spec with its data, which is never shown again."""

    name: str = ""
    labels: dict[str, str] | None = None
    data: bytes | None = field(default=None)
    driver: Driver | None = None
    templating: Driver | None = None

    def __repr__(self) -> str:
        """Hide the data."""
        return f"SecretBody(name={self.name!r})"


class IpamBody(Part, frozen=True):
    """How a network gets its addresses; auxiliary addresses are not kept (recorded)."""

    driver: str = ""
    options: dict[str, str] = field(default_factory=dict)
    config: tuple[IpamConfig, ...] = ()


class NetworkReference(Part, frozen=True):
    """A network that another takes its configuration from."""

    network: str = ""


class NetworkBody(Part, frozen=True):
    """POST /networks/create."""

    name: str = ""
    check_duplicate: bool = False
    driver: str = ""
    scope: str = ""
    enable_ipv6: bool = field(default=False, name="EnableIPv6")
    ipam: IpamBody | None = field(default=None, name="IPAM")
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: NetworkReference | None = None
    options: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] | None = None


class VolumeBody(Part, frozen=True):
    """POST /volumes/create."""

    name: str = ""
    driver: str = ""
    driver_opts: dict[str, str] | None = None
    labels: dict[str, str] | None = None
    cluster_volume_spec: dict[str, object] | None = None
