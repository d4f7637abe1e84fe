"""One story: people ask, faults happen, then they stop; at the end all that must hold is looked at."""

from random import Random

import anyio
from msgspec import Struct
from msgspec.structs import replace

from skep.core.commands import CreateSecret
from skep.core.rejected import Rejected
from skep.model.ids import Position
from skep.runtime.cluster import Cluster
from skep.runtime.errors import EngineError, OutcomeUnknown
from skep.testing.simulation import deeds
from skep.testing.simulation.always import Failed
from skep.testing.simulation.deeds import PERSON
from skep.testing.simulation.desk import Desk, Request
from skep.testing.simulation.end import come_to_rest, judge
from skep.testing.simulation.faults import strike
from skep.testing.simulation.leaving import leave
from skep.testing.simulation.operators import join
from skep.testing.simulation.people import ask
from skep.testing.simulation.world import World
from skep.testing.virtual import run_virtual

#: What a story is at least.
NODES = 5
COMMANDS = 200
FAULTS = 20

#: How long people wait between two requests, in the swarm's own time.
STEP_S_MAX = 2.0

#: How often a request that was sent before is sent once more.
AGAIN = 0.04

#: How often people do what is more than a command, and how often they leave the swarm at the end.
DEED = 0.08
LEFT = 0.25


class Ended(Struct, frozen=True):
    """What came of a story: what it was made of, the marks that it reached, and the log's digest."""

    seed: int
    nodes: int
    commands: int
    faults: int
    records: int
    groups: int
    acknowledged: int
    crashes: int
    verified: bool
    marks: tuple[str, ...]
    digest: str


def simulate(seed: int, *, verified: bool = True, check_every: int = 1) -> Ended:
    """Tell the story of `seed`, and return what came of it.

    The log is `verified` at its end, and the invariants are looked at after every `check_every` groups and at the end.

    Raises:
        Failed, or whatever broke: what must hold does not.
    """
    return run_virtual(_Story(seed).tell(verified=verified, check_every=check_every))


def check_size(ended: Ended) -> None:
    """Return if a story is as large as every story must be.

    Raises:
        Failed: it has too few nodes, commands or faults.
    """
    if ended.nodes < NODES or ended.commands < COMMANDS or ended.faults < FAULTS:
        made_of = f"{ended.nodes} nodes, {ended.commands} commands and {ended.faults} faults"
        raise Failed(f"the story is too small: {made_of}; at least {NODES}, {COMMANDS} and {FAULTS} are wanted")


class _Story:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = Random(seed)  # noqa: S311 - it must repeat itself
        self._requests: list[Request] = []
        #: what is still to happen, last first
        self._script = ["command"] * COMMANDS + ["fault"] * (FAULTS + self._random.randrange(6))
        self._random.shuffle(self._script)
        self._commands = 0
        self._faults = 0

    async def tell(self, *, verified: bool, check_every: int) -> Ended:
        async with anyio.create_task_group() as background:
            world = self._world = World(self._random, background, check_every=check_every)
            world.on_crash.append(self._forget_lost)
            await world.run(self._begin)
            while not self._over:
                await world.run(self._live)
                await anyio.sleep(world.away_s)
                world.away_s = 0.0
            await self._rest(verified=verified)
            if self._random.random() < LEFT:
                await leave(world, PERSON)
            background.cancel_scope.cancel()
        acknowledged = {request.id: request.acknowledged for request in self._requests if request.acknowledged}
        report = await judge(world, acknowledged, verified=verified)
        ended = Ended(
            seed=self._seed,
            nodes=len(world.machines) + 1,
            commands=self._commands,
            faults=self._faults,
            records=report.position,
            groups=world.groups,
            acknowledged=len(acknowledged),
            crashes=world.crashes,
            verified=verified,
            marks=tuple(world.scene.reached),
            digest=report.digest.hex(),
        )
        check_size(ended)
        return ended

    async def _rest(self, *, verified: bool) -> None:
        """Come to rest; a disk that is mended only now may have kept the engine from starting."""
        world, rested = self._world, False

        async def rest(cluster: Cluster) -> None:
            nonlocal rested
            await come_to_rest(world, cluster, PERSON, verified=verified)
            rested = True

        world.disk.mend()
        while not rested:
            await world.run(rest)

    @property
    def _over(self) -> bool:
        """Whether all has happened that was to happen; what a crash kept from being sent is made up for."""
        return not self._script and self._commands >= COMMANDS

    async def _begin(self, cluster: Cluster) -> None:
        """Let the first machines join."""
        desk = self._desk(cluster)
        for _ in range(NODES - 1):
            await cluster.engine.writer.submit(join(desk), actor=PERSON)

    async def _live(self, cluster: Cluster) -> None:
        """Let people and faults go on until the story is over, or the engine's life is."""
        world = self._world
        async with anyio.create_task_group() as people:
            while not (self._over or world.stopping):
                if self._script and self._script.pop() == "fault":
                    self._faults += 1
                    strike(world)
                else:
                    do = self._do if self._random.random() < DEED else self._want
                    people.start_soon(do, cluster)
                await anyio.sleep(world.draw_s(0, self._random.choice((0.05, STEP_S_MAX))))
            people.cancel_scope.cancel()
        world.stopping = False

    def _next(self) -> Request | None:
        """Return a request that is sent again, or None: a new one."""
        if self._random.random() >= AGAIN:
            return None
        # the key of a secret that was not acknowledged is destroyed when the engine starts
        sent = [request for request in self._requests if not isinstance(request.command, CreateSecret)]
        return self._random.choice(sent) if sent else None

    async def _do(self, cluster: Cluster) -> None:
        """Do what is more than a command."""
        try:
            await deeds.do(self._world, cluster)
            self._commands += 1
        except Rejected as error:
            self._world.scene.refused(str(error))
        except EngineError:
            self._world.note("command-unavailable")

    async def _want(self, cluster: Cluster) -> None:
        """Send a request; what is not acknowledged may have happened or not."""
        world, engine, request = self._world, cluster.engine, self._next()
        try:
            request = request or await self._make(cluster)
            self._commands += 1
            at = await engine.writer.submit(request.command, actor=PERSON, command_id=request.id)
        except Rejected as error:
            if request is not None and request.acknowledged is not None and world.engine is engine:
                raise Failed(f"{request} was acknowledged, and was refused when it was sent again: {error}") from error
            world.scene.refused(str(error))
            return
        except EngineError as error:
            world.note("command-of-unknown-outcome" if isinstance(error, OutcomeUnknown) else "command-unavailable")
            return
        if world.engine is not engine:
            return  # it crashed before the answer came through
        if request.acknowledged not in (None, at):
            raise Failed(f"{request} was acknowledged again, at {at}")
        if request.acknowledged is not None:
            world.note("command-sent-twice")
        request.acknowledged = at

    async def _make(self, cluster: Cluster) -> Request:
        command = await cluster.read(lambda _: ask(self._desk(cluster)))
        if isinstance(command, CreateSecret):
            command = replace(command, sealed=await self._world.sealed(command.secret_id), size=7)
        request = Request(self._world.ids.new(), command)
        self._requests.append(request)
        return request

    def _desk(self, cluster: Cluster) -> Desk:
        world = self._world
        return Desk(self._random, cluster.engine.writer.state, world.ids, world.new_machine, world.always.specs)

    def _forget_lost(self, end: Position) -> None:
        """Forget what the disk lost: it was acknowledged in vain."""
        for request in self._requests:
            if request.acknowledged is not None and request.acknowledged > end:
                request.acknowledged = None
