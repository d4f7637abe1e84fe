"""What this machine says of itself as a node."""

import os
from importlib.metadata import version

from skep.model.ids import NANOSECONDS
from skep.model.node import EngineDescription, EnginePlugin, NodeDescription
from skep.model.service import Platform, Reservations

#: Networks are named so that tasks which name them are placed here; a process uses the node's own network.
_PLUGINS = (
    EnginePlugin(type="Log", name="json-file"),
    EnginePlugin(type="Log", name="local"),
    EnginePlugin(type="Network", name="bridge"),
    EnginePlugin(type="Network", name="host"),
    EnginePlugin(type="Network", name="null"),
    EnginePlugin(type="Network", name="overlay"),
    EnginePlugin(type="Volume", name="local"),
)


def describe_host(hostname: str) -> NodeDescription:
    """Return platform, CPUs and memory of this machine, and the engine that runs its tasks."""
    system = os.uname()
    return NodeDescription(
        hostname=hostname or system.nodename,
        platform=Platform(architecture=system.machine, os=system.sysname.lower()),
        resources=Reservations(
            nano_cpus=len(os.sched_getaffinity(0)) * NANOSECONDS,
            memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        ),
        engine=EngineDescription(engine_version=f"skep {version('skep')}", plugins=_PLUGINS),
    )
