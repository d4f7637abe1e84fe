"""This engine as `GET /version` and `GET /info` show it, and changes as `GET /events` shows them.

skep is no container engine: what counts containers and images is 0, what names a driver or runtime is empty.
"""

import os
import platform
import time
from typing import Any

from skep.core.changes import Change
from skep.model.ids import NANOSECONDS, Instant
from skep.version import VERSION

from skep_adapters.docker_api.times import rfc3339

#: The oldest API that is spoken: what newer clients still ask of Docker 25 and later.
API_MIN = "1.24"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def render_version(api_max: str) -> dict[str, Any]:
    """Return the versions of this engine."""
    host = os.uname()
    arch = _ARCHITECTURES.get(host.machine, host.machine)
    python = f"python{platform.python_version()}"
    details = {
        "ApiVersion": api_max,
        "Arch": arch,
        "BuildTime": "",
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": python,
        "KernelVersion": host.release,
        "MinAPIVersion": API_MIN,
        "Os": "linux",
    }
    return {
        "Platform": {"Name": "skep"},
        "Components": [{"Name": "Engine", "Version": VERSION, "Details": details}],
        "Version": VERSION,
        "ApiVersion": api_max,
        "MinAPIVersion": API_MIN,
        "GitCommit": "",
        "GoVersion": python,
        "Os": "linux",
        "Arch": arch,
        "KernelVersion": host.release,
        "BuildTime": "",
    }


def render_info(swarm: dict[str, Any], hostname: str) -> dict[str, Any]:
    """Return what is to be known of this engine; `swarm` is the part about the swarm."""
    host = os.uname()
    none: dict[str, Any] = dict.fromkeys(
        ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit"), True
    )
    return none | {
        "ID": "",
        "Containers": 0,
        "ContainersRunning": 0,
        "ContainersPaused": 0,
        "ContainersStopped": 0,
        "Images": 0,
        "Driver": "",
        "DriverStatus": [],
        "Plugins": {"Volume": [], "Network": [], "Authorization": None, "Log": []},
        "IPv4Forwarding": True,
        "BridgeNfIptables": True,
        "BridgeNfIp6tables": True,
        "Debug": False,
        "NFd": 0,
        "OomKillDisable": False,
        "NGoroutines": 0,
        "SystemTime": rfc3339(Instant(time.time_ns())),
        "LoggingDriver": "",
        "CgroupDriver": "none",
        "NEventsListener": 0,
        "KernelVersion": host.release,
        "OperatingSystem": "",
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": host.machine,
        "IndexServerAddress": "",
        "RegistryConfig": None,
        "NCPU": os.cpu_count() or 0,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "GenericResources": None,
        "DockerRootDir": "",
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": hostname,
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": VERSION,
        "Runtimes": {},
        "DefaultRuntime": "",
        "Swarm": swarm,
        "LiveRestoreEnabled": False,
        "Isolation": "",
        "InitBinary": "",
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": {"ID": "", "Expected": ""},
        "InitCommit": {"ID": "", "Expected": ""},
        "SecurityOptions": [],
        "Warnings": swarm.get("Warnings"),
    }


def render_change(change: Change) -> dict[str, Any]:
    """Return a change as an event of swarm scope."""
    return {
        "Type": change.kind,
        "Action": change.action,
        "Actor": {"ID": change.id, "Attributes": change.attributes},
        "scope": "swarm",
        "time": change.time // NANOSECONDS,
        "timeNano": change.time,
    }
