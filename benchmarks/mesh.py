"""The mesh: questions a second and added waiting through a published port, against the task itself, in the same run.

The task is a process, and so is who asks; the mesh is in the engine's own process, as always. What is added is measured
at a rate that leaves room, since with none left it would be the rate over again.
"""

import asyncio
import json
import socket
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import skep
from mesh_load import PORT
from msgspec.structs import replace
from report import Goal, Report, arguments, median
from skep.model.service import EndpointSpec, PortConfig
from skep_adapters.mesh.mesh import LOOPBACK, Mesh
from skep_adapters.process.executor import ProcessExecutor

LOAD = str(Path(__file__).with_name("mesh_load.py"))

ROUNDS = 5
SECONDS = 3.0
CONNECTIONS = 100

#: Questions a second while waiting is measured: a fraction of what either way can carry.
CALM_RATE = 500


async def main() -> None:
    """Measure and print."""
    options = arguments("mesh", __doc__)
    seconds = max(0.5, SECONDS * options.scale)
    report = Report("mesh")
    with tempfile.TemporaryDirectory() as folder, closing(socket.create_server((LOOPBACK, 0))) as probe:
        published = probe.getsockname()[1]
        probe.close()
        async with Mesh.open() as mesh:
            catalog = {"answering": [sys.executable, LOAD, "serve"]}

            def make(name: str, _number: int) -> ProcessExecutor:
                return ProcessExecutor(Path(folder) / name, catalog=catalog, addresses=mesh.addresses)

            async with skep.Cluster.open(executor=make, mesh=mesh) as cluster:
                ports = (PortConfig(protocol="tcp", target_port=PORT, published_port=published),)
                spec = skep.service_spec("web", "answering")
                await cluster.services.create(replace(spec, endpoint_spec=EndpointSpec(ports=ports)))
                await cluster.converged("web")
                (task,) = await cluster.tasks.list("web")
                ways = {"direct": (mesh.addresses.give(task.id), PORT), "mesh": (LOOPBACK, published)}
                await _measure(report, ways, seconds)
    report.show(options)


async def _measure(report: Report, ways: dict[str, tuple[str, int]], seconds: float) -> None:
    for case, connections, fresh in (
        ("kept connections", CONNECTIONS, False),
        ("one kept connection", 1, False),
        ("a new connection each", CONNECTIONS, True),
    ):
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, addr in ways.items():
                rates[way].append((await _ask(*addr, connections, seconds, 0, fresh))["rate"])
        goal = Goal(0.5, at_least=True, of_ratio=True) if case == "kept connections" else None
        name = f"mesh/{case}, {connections} at a time"
        report.add(name, median(rates["mesh"]), "requests/s", peer=median(rates["direct"]), goal=goal)
    waits: dict[str, list[list[float]]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, addr in ways.items():
            waits[way].append(sorted((await _ask(*addr, CONNECTIONS, seconds, CALM_RATE, False))["waits"]))
    for share, goal in ((0.5, None), (0.99, Goal(1.0))):
        ours, direct = (median([_at(one, share) for one in waits[way]]) * 1e3 for way in ("mesh", "direct"))
        note = f"{ours:.2f} ms, direct {direct:.2f} ms; {CALM_RATE} requests/s, {CONNECTIONS} connections"
        report.add(f"mesh/added p{share * 100:.0f}", ours - direct, "ms", goal=goal, note=note)


def _at(waits: list[float], share: float) -> float:
    return waits[min(len(waits) - 1, int(len(waits) * share))]


async def _ask(host: str, port: int, connections: int, seconds: float, rate: float, fresh: bool) -> dict[str, Any]:
    words = [LOAD, "ask", host, str(port), str(connections), str(seconds), str(rate), "1" if fresh else "0"]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    told: dict[str, Any] = json.loads(out)
    return told


if __name__ == "__main__":
    asyncio.run(main())
