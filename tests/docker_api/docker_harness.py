"""What the tests of the Docker API share: the recorded, models built of it, a served cluster, the docker CLI."""

import asyncio
import datetime as dt
import io
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from skep.core.state import ClusterState
from skep.model.ids import ClusterId, ConfigId, Instant, NetworkId, NodeId, Position, SecretId, ServiceId, TaskId
from skep.model.network import VNI_OPTION, IpamConfig, Network, NetworkAddress, NetworkSpec
from skep.model.node import ManagerStatus, Node, NodeDescription, NodeSpec, NodeStatus
from skep.model.secret import Config, ConfigSpec, Sealed, Secret, SecretSpec
from skep.model.service import (
    Endpoint,
    GenericResource,
    JobStatus,
    PortConfig,
    Service,
    ServiceSpec,
    TaskSpec,
    TaskTemplate,
    UpdateStatus,
    VirtualIp,
)
from skep.model.states import NodeState, TaskState, UpdateState
from skep.model.swarm import Cluster as SwarmObject
from skep.model.swarm import JoinTokens, RootCa, SwarmSpec
from skep.model.task import ContainerStatus, Given, Task, TaskOrigin, TaskStatus
from skep.runtime.cluster import Cluster
from skep_adapters.docker_api import DockerApi
from skep_adapters.docker_api.render_network import Attachments

SEALED = Sealed("key", b"", b"")
DOCKER = shutil.which("docker")


def recorded(name: str) -> Any:
    return json.loads((Path(__file__).parent / "recorded" / f"{name}.json").read_text())


# --- models out of what the API showed


def instant(text: str) -> Instant:
    found = re.fullmatch(r"(.*?)(?:\.(\d+))?Z", text)
    assert found
    seconds = int(dt.datetime.fromisoformat(found[1] + "+00:00").timestamp())
    return Instant(seconds * 10**9 + int((found[2] or "").ljust(9, "0")))


def _meta(shown: dict[str, Any]) -> dict[str, Any]:
    at = Position(shown["Version"]["Index"])
    times = {"created_at": instant(shown["CreatedAt"]), "updated_at": instant(shown["UpdatedAt"])}
    return {"version": at, "written": at, **times}


def service_of(shown: dict[str, Any]) -> Service:
    endpoint, status, job = shown["Endpoint"], shown.get("UpdateStatus"), shown.get("JobStatus")
    return Service(
        id=ServiceId(shown["ID"]),
        spec=msgspec.convert(shown["Spec"], ServiceSpec),
        spec_version=Position(0),
        previous_spec=msgspec.convert(shown["PreviousSpec"], ServiceSpec) if "PreviousSpec" in shown else None,
        endpoint=None
        if endpoint == {"Spec": {}}
        else Endpoint(
            ports=tuple(msgspec.convert(port, PortConfig) for port in endpoint.get("Ports", ())),
            virtual_ips=tuple(
                VirtualIp(NetworkId(ip["NetworkID"]), ip.get("Addr", "")) for ip in endpoint.get("VirtualIPs", ())
            ),
        ),
        job=job and JobStatus(job["JobIteration"].get("Index", 0), instant(job["LastExecution"])),
        update_status=status
        and UpdateStatus(
            UpdateState(status["State"]),
            started_at=instant(status["StartedAt"]),
            message=status["Message"],
            completed_at=instant(status["CompletedAt"]) if "CompletedAt" in status else Instant(0),
        ),
        **_meta(shown),
    )


def task_of(shown: dict[str, Any]) -> tuple[Task, TaskTemplate]:
    status, container = shown["Status"], shown["Status"].get("ContainerStatus")
    origin = TaskOrigin(
        id=TaskId(shown["ID"]),
        service_id=ServiceId(shown["ServiceID"]),
        slot=shown.get("Slot", 0),
        spec_version=Position(1),
        created_at=instant(shown["CreatedAt"]),
        created=Position(1),
        start_at=Instant(0),
        replaces=TaskId(""),
    )
    task = Task(
        origin=origin,
        node_id=NodeId(shown.get("NodeID", "")),
        desired=TaskState[shown["DesiredState"].upper()],
        status=TaskStatus(
            state=TaskState[status["State"].upper()],
            at=instant(status["Timestamp"]),
            message=status["Message"],
            err=status.get("Err", ""),
            container=container and ContainerStatus(container["ContainerID"], container["PID"], container["ExitCode"]),
            ports=tuple(msgspec.convert(port, PortConfig) for port in status["PortStatus"].get("Ports", ())),
        ),
        version=Position(shown["Version"]["Index"]),
        updated_at=instant(shown["UpdatedAt"]),
    )
    spec = msgspec.convert(shown["Spec"], TaskSpec)
    iteration = shown["JobIteration"].get("Index", 0) if "JobIteration" in shown else None
    return task, TaskTemplate(service_name="web", spec=spec, networks=spec.networks, iteration=iteration)


def attachments_of(shown: dict[str, Any]) -> Attachments:
    """Return what a task is on, as the state holds it."""
    state = ClusterState()
    addresses = []
    for one in shown.get("NetworksAttachments", ()):
        network = network_of(one["Network"])
        state.networks[network.id] = network
        addresses.append(NetworkAddress(network.id, one.get("Addresses", [""])[0]))
    task, _ = task_of(shown)
    resources = msgspec.convert(shown.get("GenericResources", []), tuple[GenericResource, ...])
    state.given[task.id] = Given(addresses=tuple(addresses), resources=resources)
    return Attachments(state, [task])


def network_of(shown: dict[str, Any]) -> Network:
    """Return a network as a task shows it."""
    said, state = shown["Spec"], shown["DriverState"]
    spec = {**said, "Driver": said["DriverConfiguration"]}
    if "Configs" in spec.get("IPAMOptions", {}):
        spec["IPAMOptions"] = {
            **spec["IPAMOptions"],
            "Configs": [_range(one) for one in said["IPAMOptions"]["Configs"]],
        }
    vnis = state.get("Options", {}).get(VNI_OPTION, "")
    return Network(
        id=NetworkId(shown["ID"]),
        spec=msgspec.convert(spec, NetworkSpec),
        vnis=tuple(map(int, vnis.split(","))) if vnis else (),
        ranges=tuple(
            msgspec.convert(_range(one), IpamConfig) for one in shown.get("IPAMOptions", {}).get("Configs", ())
        ),
        **_meta(shown),
    )


def _range(shown: dict[str, str]) -> dict[str, str]:
    """Return a range as it is sent: tasks show one of its fields by another name."""
    return {"IPRange" if name == "Range" else name: value for name, value in shown.items()}


def node_of(shown: dict[str, Any]) -> Node:
    status, manager = shown["Status"], shown.get("ManagerStatus")
    return Node(
        id=NodeId(shown["ID"]),
        spec=msgspec.convert(shown["Spec"], NodeSpec),
        description=msgspec.convert(shown["Description"], NodeDescription),
        status=NodeStatus(NodeState(status["State"]), status.get("Message", ""), status.get("Addr", "")),
        manager=manager and ManagerStatus(manager.get("Leader", False), manager["Reachability"], manager["Addr"]),
        **_meta(shown),
    )


def secret_of(shown: dict[str, Any]) -> Secret:
    spec = msgspec.convert(shown["Spec"], SecretSpec)
    return Secret(id=SecretId(shown["ID"]), spec=spec, sealed=SEALED, **_meta(shown))


def config_of(shown: dict[str, Any]) -> Config:
    return Config(id=ConfigId(shown["ID"]), spec=msgspec.convert(shown["Spec"], ConfigSpec), **_meta(shown))


def swarm_of(shown: dict[str, Any]) -> tuple[SwarmObject, tuple[str, str]]:
    tls = shown["TLSInfo"]
    swarm = SwarmObject(
        id=ClusterId(shown["ID"]),
        spec=msgspec.convert(shown["Spec"], SwarmSpec),
        root=RootCa(tls["TrustRoot"], SEALED, tls["CertIssuerSubject"], tls["CertIssuerPublicKey"]),
        tokens=JoinTokens(SEALED, SEALED),
        default_addr_pool=tuple(shown["DefaultAddrPool"] or ()),
        subnet_size=shown["SubnetSize"],
        data_path_port=shown["DataPathPort"],
        **_meta(shown),
    )
    return swarm, (shown["JoinTokens"]["Worker"], shown["JoinTokens"]["Manager"])


# --- a cluster in memory, served


class Served:
    """A cluster behind a socket, with ways to ask it."""

    def __init__(self, cluster: Cluster, path: Path, http: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.path = path
        self.http = http

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send one request; a body that is no text is sent as JSON. Return status and answer."""
        text = body if isinstance(body, str | None) else json.dumps(body)
        data = None if text is None else io.BytesIO(text.encode())
        headers = {"Content-Type": "application/json", **headers}
        async with self.http.request(method, f"http://skep{path}", data=data, headers=headers) as answer:
            got = await answer.read()
            is_json = answer.content_type == "application/json" and got
            return answer.status, json.loads(got) if is_json else got

    async def get(self, path: str) -> Any:
        """Return what a GET answers, which must be well."""
        status, answer = await self.ask("GET", path)
        assert status == 200, answer
        return answer

    async def docker(
        self, *words: str, stdin: str = "", code: int = 0, timeout_s: float = 60, env: Mapping[str, str] | None = None
    ) -> str:
        """Run the docker CLI; return what it printed (stderr, if it was to fail)."""
        process = await asyncio.create_subprocess_exec(
            DOCKER or "docker",
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                "DOCKER_HOST": f"unix://{self.path}",
                "DOCKER_CONFIG": str(self.path.parent),
                "HOME": "/nowhere",
                **(env or {}),
            },
        )
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == code, f"docker {' '.join(words)}: {out.decode()}{err.decode()}"
        return (err if code else out).decode().strip()


@asynccontextmanager
async def served(
    *, api_max: str = "1.44", unsupported: Callable[[ServiceSpec], Sequence[str]] | None = None, **options: Any
) -> AsyncIterator[Served]:
    """Serve a cluster in memory, a swarm of one node unless `options` say otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "skep.sock"
        async with (
            Cluster.open(**options) as cluster,
            DockerApi(cluster, api_max=api_max, unsupported=unsupported).serve_unix(path),
        ):
            connector = aiohttp.UnixConnector(str(path))
            async with aiohttp.ClientSession(connector=connector) as http:
                yield Served(cluster, path, http)


async def until(holds: Callable[[], Awaitable[Any]], *, timeout_s: float = 20) -> None:
    """Wait until `holds` is true. What is asked over a socket has no event to wait for."""
    async with asyncio.timeout(timeout_s):
        while not await holds():  # noqa: ASYNC110  # the other side of a socket sets no event
            await asyncio.sleep(0.02)
