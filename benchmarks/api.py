"""The Engine API as clients use it, in turn against skep and against a real dockerd that holds the same, in one run.

- services: `GET /services?status=true` with 1,000 services; tasks: `GET /tasks` with 10,000, of ten services;
- create, update: services of no tasks, by 1 and by 32 clients, each with a connection of its own that waits for its
  answers. An update is what the docker client makes of it: the service is read, and then sent with another label.

Managers are drained, so that tasks wait and nothing runs. CPU is the manager's, for one request: clients are a process
of Python's that takes the processors from the manager, so the CPU is what to go by. Needs root, for a machine inside
this one, and dockerd for the peer.
"""

import asyncio
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from report import Report, median, options_of
from swarm_daemons import Manager, dockerd, dockerd_version, skep

from tests.engines.machine import Machine
from tests.engines.surroundings import missing

SERVICES = 1_000
TASKS = 10_000
TASKS_OF_ONE = 1_000
CLIENTS = (1, 32)

#: Requests by all clients of a number of them.
WRITES = 960
READS = 15

#: So long may tasks take until they are all there.
LIMIT_S = 300.0


class Case(NamedTuple):
    """What was measured: seconds for a request, or requests a second; and the manager's CPU for one, in ms."""

    value: float
    unit: str
    cpu_ms: float


class Run:
    """What is asked of one manager."""

    def __init__(self, manager: Manager, http: aiohttp.ClientSession, scale: float) -> None:
        self._manager = manager
        self._http = http
        self._scale = scale
        self._made = 0
        self.cases: dict[str, Case] = {}

    def scaled(self, count: int) -> int:
        """Return the share of `count` that is to be done."""
        return max(1, round(count * self._scale))

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the JSON of an answer."""
        async with self._http.request(method, f"http://manager/v1.41{path}", json=body) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{self._manager.name}: {path}: {await answer.text()}")
            return await answer.json() if answer.content_type == "application/json" else None

    async def run(self) -> None:
        """Measure everything."""
        names: list[str] = []
        for clients in CLIENTS:
            names += await self.writes(f"create/{clients}", clients, self.create)
        for clients in CLIENTS:
            left = iter(names)
            await self.writes(f"update/{clients}", clients, lambda left=left: self.update(next(left)))
        while len(names) < self.scaled(SERVICES):
            names.append(await self.create())
        for name in names[self.scaled(SERVICES) :]:
            await self.ask("DELETE", f"/services/{name}")
        await self.reads("services", "/services?status=true", self.scaled(SERVICES))
        for number in range(self.scaled(TASKS) // TASKS_OF_ONE):
            await self.ask("POST", "/services/create", _spec(f"many{number}", TASKS_OF_ONE))
        count = self.scaled(TASKS) // TASKS_OF_ONE * TASKS_OF_ONE
        await self.settled(count)
        await self.reads("tasks", "/tasks", count)

    async def create(self) -> str:
        """Create another service."""
        self._made += 1
        name = f"web{self._made}"
        await self.ask("POST", "/services/create", _spec(name, 0))
        return name

    async def update(self, name: str) -> str:
        """Give a service another label."""
        found = await self.ask("GET", f"/services/{name}")
        found["Spec"]["Labels"]["changed"] = str(time.time_ns())
        path = f"/services/{found['ID']}/update?version={found['Version']['Index']}"
        await self.ask("POST", path, found["Spec"])
        return name

    async def writes(self, case: str, clients: int, write: Callable[[], Awaitable[str]]) -> list[str]:
        """Have clients write in turn; return the names of what they wrote."""
        each = max(1, self.scaled(WRITES if clients > 1 else WRITES // 3) // clients)
        names: list[str] = []

        async def client() -> None:
            for _ in range(each):
                names.append(await write())  # noqa: PERF401 - another client's names come between

        cpu, start = self._manager.cost().cpu_s, time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())
        spent, cpu = time.perf_counter() - start, self._manager.cost().cpu_s - cpu
        self._note(case, Case(len(names) / spent, "a second", cpu / len(names) * 1e3))
        return names

    async def reads(self, case: str, path: str, count: int) -> None:
        """Read a list again and again."""
        assert len(await self.ask("GET", path)) == count
        times = []
        cpu = self._manager.cost().cpu_s
        for _ in range(READS):
            start = time.perf_counter()
            async with self._http.get(f"http://manager/v1.41{path}") as answer:
                await answer.read()
            times.append(time.perf_counter() - start)
        cpu = self._manager.cost().cpu_s - cpu
        self._note(case, Case(median(times), "s", cpu / READS * 1e3))

    async def settled(self, count: int) -> None:
        """Wait until all tasks are there and wait, and the manager has nothing to do."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            states = [one["Status"]["State"] for one in await self.ask("GET", "/tasks")]
            cpu = self._manager.cost().cpu_s
            await asyncio.sleep(2)
            if states == ["pending"] * count and self._manager.cost().cpu_s - cpu < 0.2:
                return
            assert time.monotonic() < deadline, (
                f"{self._manager.name}: {len(states)} of {count} tasks after {LIMIT_S} s"
            )

    def _note(self, case: str, found: Case) -> None:
        self.cases[case] = found
        print(f"{self._manager.name}: {case}: {found}", file=sys.stderr)


def _spec(name: str, replicas: int) -> dict[str, Any]:
    """Return a service as the docker client sends it."""
    container = {"Image": "demo:1", "Env": ["A=1", "B=2"], "Init": False, "DNSConfig": {}, "Labels": {"tier": "front"}}
    return {
        "Name": name,
        "Labels": {"team": "shop"},
        "TaskTemplate": {
            "ContainerSpec": container,
            "Resources": {"Limits": {"MemoryBytes": 1 << 26}, "Reservations": {}},
            "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0},
            "Placement": {"Constraints": ["node.labels.a!=b"]},
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": {"Parallelism": 1, "Monitor": 5_000_000_000, "Order": "stop-first"},
        "EndpointSpec": {"Mode": "vip"},
    }


def _measured(manager: Manager, options: Namespace) -> dict[str, Case]:
    async def measure() -> dict[str, Case]:
        connector = aiohttp.UnixConnector(str(manager.socket), limit=max(CLIENTS))
        async with aiohttp.ClientSession(connector=connector) as http:
            run = Run(manager, http, options.scale)
            await run.run()
            return run.cases

    return asyncio.run(measure())


def _against(start: Any, options: Namespace, wrapper: Sequence[str] = ()) -> dict[str, Case]:
    with tempfile.TemporaryDirectory() as home, Machine("manager") as machine:
        extra = (wrapper,) if wrapper else ()
        with start(machine, Path(home), *extra) as manager:
            return _measured(manager, options)


def main() -> None:
    """Measure and print."""
    parser = options_of("api", __doc__)
    parser.add_argument("--no-peer", action="store_true", help="skep only")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="profile skep into FILE, for pstats")
    options = parser.parse_args()
    if sentence := missing():
        sys.exit(sentence)
    wrapper = ("-m", "cProfile", "-o", str(options.profile)) if options.profile else ()
    ours = _against(skep, options, wrapper)
    theirs = {} if options.no_peer else _against(dockerd, options)
    report = Report("api")
    for case, found in ours.items():
        peer = theirs.get(case)
        report.add(case, found.value, found.unit, peer=peer.value if peer else None)
        report.add(f"{case} CPU", found.cpu_ms, "ms a request", peer=peer.cpu_ms if peer else None)
    if theirs:
        print(f"the peer is dockerd {dockerd_version()}", file=sys.stderr)
    report.show(options)


if __name__ == "__main__":
    main()
