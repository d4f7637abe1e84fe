"""skep: Docker Swarm's control plane as an event-sourced engine that other programs embed."""

from skep.core.rejected import Rejected
from skep.model.build import network_spec, service_spec
from skep.model.network import NetworkSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import ServiceSpec
from skep.runtime.cluster import Cluster
from skep.runtime.coroutines.context import TaskContext
from skep.runtime.coroutines.images import Images
from skep.runtime.errors import (
    AlreadyInSwarm,
    EngineError,
    EngineFailed,
    LastManager,
    NoSwarm,
    OutcomeUnknown,
    TimedOut,
    Unavailable,
)
from skep.version import VERSION

__version__ = VERSION

__all__ = [
    "AlreadyInSwarm",
    "Cluster",
    "ConfigSpec",
    "EngineError",
    "EngineFailed",
    "Images",
    "LastManager",
    "NetworkSpec",
    "NoSwarm",
    "OutcomeUnknown",
    "Rejected",
    "SecretSpec",
    "ServiceSpec",
    "TaskContext",
    "TimedOut",
    "Unavailable",
    "__version__",
    "network_spec",
    "service_spec",
]
