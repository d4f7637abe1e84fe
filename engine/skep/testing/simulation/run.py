"""One story: people ask, faults happen, then they stop; at the end all that must hold is looked at."""

from hashlib import sha256
from random import Random

import anyio
from msgspec import Struct
from msgspec.structs import replace

from skep.core.codec import decode_record
from skep.core.commands import CreateSecret, RemoveService, UpdateNode
from skep.core.plan import PLANS, every_key
from skep.core.record import Actor
from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.history.verify import verify
from skep.model.ids import START, Position
from skep.model.service import Service
from skep.model.states import Availability, TaskState
from skep.runtime.cluster import Cluster
from skep.runtime.errors import EngineError
from skep.runtime.memory import AppendFault
from skep.runtime.writer import Writer
from skep.testing.simulation.behaviours import STEADY
from skep.testing.simulation.people import Request, ask
from skep.testing.simulation.world import World
from skep.testing.sources import NumberedIds
from skep.testing.virtual import run_virtual

PERSON = Actor("person", "somebody", "simulation")

#: How long people are waited for, and the swarm at the end, in its own time.
STEP_S_MAX = 6.0
REST_S = 600.0
LOOK_S = 2.0


class Ended(Struct, frozen=True):
    """What came of a story."""

    seed: int
    records: int
    groups: int
    acknowledged: int
    crashes: int
    digest: str


class Failed(AssertionError):
    """A story did not end as it must."""


def simulate(seed: int, *, steps: int = 40, nodes: int = 4) -> Ended:
    """Tell the story of `seed`, and return what came of it.

    Raises:
        Failed, or whatever broke: what must hold does not.
    """
    return run_virtual(_Story(seed, steps=steps, nodes=nodes).tell())


class _Story:
    def __init__(self, seed: int, *, steps: int, nodes: int) -> None:
        self._seed = seed
        self._random = Random(seed)  # noqa: S311 - it must repeat itself
        self._world = World(self._random, nodes=nodes)
        self._requests: list[Request] = []
        self._steps = steps
        self._crashes = 0

    async def tell(self) -> Ended:
        while self._steps:
            async with self._world.running() as cluster, anyio.create_task_group() as people:
                await self._live(cluster, people)
                if self._steps:
                    self._crashes += 1
                    self._world.storage.log.heal()
                    if self._random.random() < 0.7:  # noqa: PLR2004 - most ends are crashes
                        self._world.crash()
                people.cancel_scope.cancel()
        self._world.storage.log.heal()
        async with self._world.running() as cluster:
            await self._rest(cluster)
        return await self._judge()

    async def _live(  # noqa: C901 - a table of what may happen
        self, cluster: Cluster, people: anyio.abc.TaskGroup
    ) -> None:
        """Let people and faults go on until the story is over, or the engine's life is."""
        while self._steps:
            self._steps -= 1
            kind = self._random.choice(("ask",) * 8 + ("again", "secret", "log", "link", "cut", "mend", "end"))
            match kind:
                case "ask":
                    command = await cluster.read(lambda state: ask(self._random, state, self._world.ids))
                    if command is not None:
                        self._send(cluster, people, Request(self._world.ids.new(), command))
                case "secret":
                    command = await self._world.new_secret(cluster.engine.store.keyring)
                    self._send(cluster, people, Request(self._world.ids.new(), command))
                case "again" if again := [r for r in self._requests if not isinstance(r.command, CreateSecret)]:
                    # the key of a secret that was not acknowledged is destroyed when the engine starts
                    people.start_soon(self._submit, cluster, self._random.choice(again))
                case "log":
                    self._world.storage.log.fail_next(
                        self._random.choice(list(AppendFault)), times=self._random.choice((1, 1, 4))
                    )
                case "link" if cluster.engine.dispatcher.sessions:
                    self._random.choice(list(cluster.engine.dispatcher.sessions.values())).end("the link was lost")
                case "cut":
                    self._cut(cluster)
                case "mend":
                    self._world.cut.clear()
                case "end":
                    return
            await anyio.sleep(self._random.uniform(0, self._random.choice((0.05, STEP_S_MAX))))

    def _cut(self, cluster: Cluster) -> None:
        node_id = self._random.choice(list(cluster.engine.writer.state.nodes))
        self._world.cut[node_id] = None
        session = cluster.engine.dispatcher.sessions.get(node_id)
        if session is not None:
            session.end("the cable was cut")

    def _send(self, cluster: Cluster, people: anyio.abc.TaskGroup, request: Request) -> None:
        self._requests.append(request)
        people.start_soon(self._submit, cluster, request)

    async def _submit(self, cluster: Cluster, request: Request) -> None:
        """Send a request; what is not acknowledged may have happened or not."""
        if not cluster.active:
            return
        writer = cluster.engine.writer
        try:
            at = await writer.submit(request.command, actor=PERSON, command_id=request.id)
        except (Rejected, EngineError):
            return
        if request.acknowledged not in (None, at):
            raise Failed(f"{request} was acknowledged again, at {at}")
        request.acknowledged = at

    # --- the end

    async def _rest(self, cluster: Cluster) -> None:
        """Stop all faults, let everything come to rest, and then remove what can never."""
        self._world.cut.clear()
        writer = cluster.engine.writer
        for node in list(await cluster.nodes.list()):
            spec = replace(node.spec, availability=Availability.ACTIVE)
            await writer.submit(UpdateNode(node.id, node.version, spec), actor=PERSON)
        lack = "?"
        with anyio.move_on_after(REST_S):
            while lack:
                # again and again: a rollback may bring an image that cannot run
                for service in await cluster.services.list():
                    if not _can_run(service):
                        await writer.submit(RemoveService(service.id), actor=PERSON)
                await anyio.sleep(LOOK_S)
                lack = await cluster.read(_lack)
        if lack:
            raise Failed(f"seed {self._seed} does not come to rest: {lack}")
        self._check_content(writer)

    def _check_content(self, writer: Writer) -> None:
        if writer.wakes.due():
            raise Failed(f"seed {self._seed}: at rest, and these are due: {writer.wakes.due()}")
        for plan, key in every_key(writer.state):
            wants = PLANS[plan](writer.state, key, self._world.clock.now(), NumberedIds("probe"))
            if wants.commands:
                raise Failed(f"seed {self._seed}: at rest, and plan {plan}({key}) wants {wants.commands}")

    async def _judge(self) -> Ended:
        store = await self._world.storage.latest()
        if store is None:
            raise Failed("nothing was kept")
        report = await verify(store)
        if report.problems:
            raise Failed(f"seed {self._seed}: " + "\n".join(report.problems))
        bodies = [each.body for each in await store.log.read(START, limit=report.records)]
        found: dict[str, Position] = {}
        for body in bodies:
            record = decode_record(body)
            if record.command_id in found:
                raise Failed(f"seed {self._seed}: {record.command_id} was done twice, last at {record.position}")
            if record.command_id:
                found[record.command_id] = record.position
        for request in self._requests:
            if request.acknowledged is not None and found.get(request.id) != request.acknowledged:
                raise Failed(f"seed {self._seed}: {request} was acknowledged, and is at {found.get(request.id)}")
        acknowledged = sum(request.acknowledged is not None for request in self._requests)
        digest = sha256(b"\n".join(bodies)).hexdigest()
        return Ended(self._seed, report.records, self._world.groups, acknowledged, self._crashes, digest)


def _can_run(service: Service) -> bool:
    return service.spec.container.image.partition(":")[0] in STEADY


def _lack(state: ClusterState) -> str:
    """Say what is not at rest yet; empty if all is."""
    for service_id in state.service_tasks:
        if service_id not in state.services:
            return f"tasks are left of {service_id}"
    for service in state.services.values():
        status = service.update_status
        tasks = [t for t in state.tasks_of(service.id) if t.wanted]
        full = [t for t in tasks if "max replicas" in t.status.err]
        paused = status is not None and "paused" in status.state
        if full or paused or (service.endpoint is None and service.spec.endpoint_spec is not None):
            continue
        if any(t.state is not TaskState.RUNNING for t in tasks):
            return f"{service.spec.name}: {[(t.id, t.state.word, t.desired.word, t.status.err) for t in tasks]}"
        wanted = (service.spec.replicas or 0) - len(state.given_up.get(service.id, {}))
        if len(tasks) != max(0, wanted):
            return f"{service.spec.name} has {len(tasks)} of {wanted} tasks"
        if status is not None and "completed" not in status.state:
            return f"{service.spec.name} is {status.state}"
    return ""
