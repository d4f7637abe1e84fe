"""Agents by the hundred over the worker protocol, in turn against skep and against a real dockerd, in one run.

- create: from the call until all tasks are RUNNING;
- rm: from the call until no agent has a task, and the manager none;
- update: of everything, stop-first, until all tasks of the new image are RUNNING and none of the old; `all` is with
  parallelism 0, `by 100` with 100 at a time;
- peak: of the manager's memory since it began; heartbeat: the longest time for which one waited for its answer.

Tasks run nothing, and agents are processes of their own (see agent_load.py) that take the processors from the manager:
the CPU seconds of the manager are what to go by. A phase that is not done within `--limit` seconds is given up, and the
peer's figure is then that of the limit: it would have taken more. Needs root, for a machine inside this one, and
dockerd for the peer.
"""

import contextlib
import json
import select
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from report import Goal, Report, options_of
from swarm_daemons import ADDR, Manager, dockerd, dockerd_version, skep

from tests.engines.machine import Machine
from tests.engines.surroundings import missing

POINTS = ((10, 1_000), (100, 5_000), (300, 10_000))

IDLE_AGENTS = 1_000
#: Two periods of heartbeats.
IDLE_S = 10.0

#: Until what went before is done.
SETTLE_S = 2.0

#: Processes of agents: as many as this class of machine has processors.
PROCESSES = 2

LOAD = Path(__file__).with_name("agent_load.py")

#: A phase that takes longer is given up.
LIMIT_S = 300.0
JOIN_LIMIT_S = 300.0


class Phase(NamedTuple):
    """What a phase cost; `done` is how much of it was done, in words, if it was given up."""

    cpu_s: float
    wall_s: float
    heartbeat_s: float
    undone: str = ""


class Agents:
    """Agents in processes of their own; use it as a context."""

    def __init__(self, machine_: Machine, manager: Manager, count: int) -> None:
        self._machine = machine_
        self._manager = manager
        self._count = count
        self._processes: list[subprocess.Popen[bytes]] = []
        self._told: list[dict[str, Any]] = []
        #: what came of a line that is not whole
        self._rests: list[bytes] = []

    def __enter__(self) -> Self:
        each = -(-self._count // PROCESSES)
        for first in range(0, self._count, each):
            count = min(each, self._count - first)
            words = (sys.executable, str(LOAD), ADDR, str(count), str(first))
            self._processes.append(
                subprocess.Popen(  # noqa: S603 - our own
                    self._machine.words(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
                )
            )
            self._told.append({})
            self._rests.append(b"")
        given = json.dumps({"token": self._manager.token, "root": self._manager.root}).encode() + b"\n"
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(given)
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"prepared\n", "the agents did not start"
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            process.wait(60)

    def begin(self) -> None:
        """Have them join at first, and measure heartbeats anew."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")

    def listen(self, timeout_s: float) -> None:
        """Take what they tell, once."""
        by_pipe = {process.stdout: number for number, process in enumerate(self._processes)}
        for pipe in select.select(list(by_pipe), [], [], timeout_s)[0]:
            number = by_pipe[pipe]
            came = pipe.read(1 << 20)
            assert came, "agents ended"
            *lines, self._rests[number] = (self._rests[number] + came).split(b"\n")
            if lines:
                self._told[number] = json.loads(lines[-1])

    def count(self, what: str) -> int:
        """Return the sum of a count."""
        return sum(told.get(what, 0) for told in self._told)

    def running(self, image: str) -> int:
        """Return how many tasks of an image run."""
        return sum(told.get("running", {}).get(image, 0) for told in self._told)

    @property
    def heartbeat_s(self) -> float:
        """The longest time that a heartbeat took."""
        return max(told.get("heartbeat_s", 0.0) for told in self._told)

    @property
    def reasons(self) -> str:
        """Why sessions were lost, the last of each process."""
        return "; ".join(sorted({told["reason"] for told in self._told if told.get("reason")}))


class Run:
    """Phases against one manager."""

    def __init__(self, manager: Manager, agents: Agents, limit_s: float) -> None:
        self._manager = manager
        self._agents = agents
        self._limit_s = limit_s
        self.phases: dict[str, Phase] = {}

    def phase(
        self,
        name: str,
        do: Callable[[], None],
        done: Callable[[], bool],
        so_far: Callable[[], str],
        limit_s: float | None = None,
    ) -> bool:
        """Measure from `do` until `done`; return whether it came to that."""
        agents, manager = self._agents, self._manager
        self._settle()
        agents.begin()
        cpu, start = manager.cost().cpu_s, time.perf_counter()
        do()
        while not (came := done()) and time.perf_counter() - start < (limit_s or self._limit_s):
            agents.listen(0.05)
        wall, cpu = time.perf_counter() - start, manager.cost().cpu_s - cpu
        agents.listen(0.1)
        undone = "" if came else f"given up after {wall:.0f} s: {so_far()}"
        self.phases[name] = Phase(cpu, wall, agents.heartbeat_s, undone)
        print(f"{manager.name}: {name}: {self.phases[name]}, peak {manager.cost().peak_mib:.0f} MiB", file=sys.stderr)
        return came

    def _settle(self) -> None:
        until = time.monotonic() + SETTLE_S
        while time.monotonic() < until:
            self._agents.listen(0.1)

    def join(self, count: int) -> None:
        """Let all agents join; nothing can be measured without."""
        joined = self.phase(
            "join",
            self._agents.begin,
            lambda: self._agents.count("ready") == count,
            lambda: f"{self._agents.count('ready')} of {count}",
            JOIN_LIMIT_S,
        )
        if not joined:
            sys.exit(f"{self._manager.name}: {self.phases['join'].undone}")

    def create(self, replicas: int, *, parallelism: int = 0, name: str = "create") -> bool:
        """Create a service."""
        return self.phase(
            name,
            lambda: self._manager.ask("POST", "/services/create", _spec(replicas, "demo:1", parallelism)),
            lambda: self._agents.running("demo:1") == replicas and self._confirmed(replicas),
            lambda: f"{self._agents.running('demo:1'):,} of {replicas:,} run",
        )

    def update(self, replicas: int, *, parallelism: int, name: str) -> bool:
        """Give all tasks another image."""
        service = self._manager.ask("GET", "/services/web")
        path = f"/services/{service['ID']}/update?version={service['Version']['Index']}"
        agents = self._agents
        return self.phase(
            name,
            lambda: self._manager.ask("POST", path, _spec(replicas, "demo:2", parallelism)),
            lambda: agents.running("demo:2") == replicas and not agents.running("demo:1") and self._confirmed(replicas),
            lambda: f"{agents.running('demo:2'):,} of {replicas:,} were new",
        )

    def remove(self, name: str = "rm") -> bool:
        """Remove the service."""
        return self.phase(
            name,
            lambda: self._manager.ask("DELETE", "/services/web"),
            lambda: not self._agents.count("tasks") and self._manager.ask("GET", "/tasks") == [],
            lambda: f"{self._agents.count('tasks'):,} tasks were left",
        )

    def idle(self) -> float:
        """Return the share of a core that the manager takes while nothing happens."""
        self._settle()
        cpu, start = self._manager.cost().cpu_s, time.perf_counter()
        while time.perf_counter() - start < IDLE_S:
            self._agents.listen(0.5)
        return (self._manager.cost().cpu_s - cpu) / (time.perf_counter() - start)

    def _confirmed(self, replicas: int) -> bool:
        """Ask the manager itself."""
        (service,) = self._manager.ask("GET", "/services?status=true")
        return bool(service["ServiceStatus"]["RunningTasks"] == replicas)


def _spec(replicas: int, image: str, parallelism: int) -> dict[str, Any]:
    update = {"Parallelism": parallelism, "Monitor": 1_000_000, "FailureAction": "continue", "Order": "stop-first"}
    return {
        "Name": "web",
        "TaskTemplate": {"ContainerSpec": {"Image": image}, "RestartPolicy": {"Condition": "any", "Delay": 0}},
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": update,
    }


class Bench:
    """Runs every point against whoever there is, and reports."""

    def __init__(self, options: Namespace) -> None:
        self._options = options
        self.report = Report("agents")
        self._peer = "" if options.no_peer else dockerd_version()
        self._sides = ["skep"] if options.no_peer else ["skep", "dockerd"]

    def point(self, count: int, replicas: int) -> None:
        """Measure so many agents and tasks."""
        found: dict[str, dict[str, Phase]] = {}
        peaks: dict[str, float] = {}
        losses: dict[str, str] = {}
        for side in self._sides:
            first, *others = self._options.parallelism
            with self._side(side, count) as (run, manager, agents):
                run.create(replicas)
                peaks["create " + side] = manager.cost().peak_mib
                if run.remove():
                    # tasks that ended stay for a while after an update: rm is measured without one before it
                    run.create(replicas, name="again")
                    # one that is still at it may not even take the removal within its own limit
                    if run.update(replicas, parallelism=first, name=_update(first)):
                        run.remove("rm of updated")
                found[side], peaks[side] = run.phases, manager.cost().peak_mib
                losses[side] = f"{agents.count('lost')} sessions lost: {agents.reasons}" if agents.count("lost") else ""
            for parallelism in others:
                # a manager of its own: the update before may have been given up
                with self._side(side, count) as (run, _, _):
                    run.create(replicas)
                    run.update(replicas, parallelism=parallelism, name=_update(parallelism))
                    found[side][_update(parallelism)] = run.phases[_update(parallelism)]
        faster = Goal(0.1, of_ratio=True) if replicas >= 5_000 else None
        half = Goal(0.5, of_ratio=True)
        name = f"{count} x {replicas:,}"
        for phase, goal in (
            ("create", half),
            *((_update(parallelism), faster) for parallelism in self._options.parallelism),
            ("rm", half),
            ("rm of updated", None),
        ):
            ours, theirs = found["skep"].get(phase), found.get("dockerd", {}).get(phase)
            if ours is not None:
                self._add(f"{name} {phase}", ours, theirs, goal)
        for what, when in (("create ", "until created"), ("", "in all")):
            peer = peaks.get(what + "dockerd")
            goal = Goal(1, of_ratio=True) if peer else None
            told = [f"{side}: {said}" for side, said in losses.items() if said]
            note = "; ".join(([f"dockerd {self._peer}"] if peer else []) + told)
            self.report.add(f"{name} peak {when}", peaks[what + "skep"], "MiB", peer=peer, goal=goal, note=note)
        beats = {side: max(phase.heartbeat_s for phase in phases.values()) for side, phases in found.items()}
        peer = beats["dockerd"] * 1e3 if "dockerd" in beats else None
        self.report.add(f"{name} heartbeat", beats["skep"] * 1e3, "ms", peer=peer)

    def idle(self, count: int) -> None:
        """Measure agents that join, and do nothing then."""
        shares, joins, peaks = {}, {}, {}
        for side in self._sides:
            with self._side(side, count) as (run, manager, _):
                joins[side], shares[side] = run.phases["join"], run.idle() * 100
                peaks[side] = manager.cost().peak_mib
                print(f"{side}: {count} idle: {shares[side]:.1f} %, {peaks[side]:.0f} MiB", file=sys.stderr)
        name = f"{count:,} agents"
        self._add(f"{name} join", joins["skep"], joins.get("dockerd"), None)
        self.report.add(f"{name} idle", shares["skep"], "% of a core", peer=shares.get("dockerd"), goal=Goal(10))
        goal = Goal(1, of_ratio=True) if "dockerd" in peaks else None
        self.report.add(f"{name} peak", peaks["skep"], "MiB", peer=peaks.get("dockerd"), goal=goal)

    def _add(self, case: str, ours: Phase, theirs: Phase | None, goal: Goal | None) -> None:
        notes = [ours.undone and f"skep {ours.undone}", theirs.undone and f"dockerd {theirs.undone}" if theirs else ""]
        note = "; ".join(filter(None, notes))
        for what, unit, mine, peer in (
            (f"{case} CPU", "s", ours.cpu_s, theirs and theirs.cpu_s),
            (case, "s", ours.wall_s, theirs and theirs.wall_s),
        ):
            value = None if ours.undone else mine
            # a peer that was given up says only what it would have taken at least
            known = bool(peer) and not (theirs and theirs.undone)
            self.report.add(what, value, unit, peer=peer, goal=goal if known else None, note=note)

    @contextmanager
    def _side(self, side: str, count: int) -> Iterator[tuple[Run, Manager, Agents]]:
        with contextlib.ExitStack() as stack:
            home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            place = stack.enter_context(Machine("bench"))
            if side == "skep":
                wrapper = ("-m", "cProfile", "-o", str(self._options.profile)) if self._options.profile else ()
                manager = stack.enter_context(skep(place, home, wrapper))
            else:
                manager = stack.enter_context(dockerd(place, home))
            agents = stack.enter_context(Agents(place, manager, count))
            run = Run(manager, agents, self._options.limit)
            run.join(count)
            yield run, manager, agents


def _update(parallelism: int) -> str:
    return f"update by {parallelism}" if parallelism else "update all"


def _points(words: Sequence[str]) -> list[tuple[int, int]]:
    return [(int(agents), int(tasks)) for agents, _, tasks in (word.partition("x") for word in words)]


def main() -> None:
    """Measure and print."""
    parser = options_of("agents", __doc__)
    parser.add_argument("--profile", type=Path, metavar="FILE", help="write skep's profile to FILE; of the last point")
    parser.add_argument("--points", nargs="*", metavar="AGENTSxTASKS", help="which points (none: only idle agents)")
    parser.add_argument("--no-idle", action="store_true", help="leave out the idle agents")
    parser.add_argument("--no-peer", action="store_true", help="measure skep alone")
    parser.add_argument("--parallelism", type=int, nargs="+", default=[0, 100], help="of updates (0: all at once)")
    parser.add_argument(
        "--limit", type=float, default=LIMIT_S, help="seconds after which a phase is given up (%(default)s)"
    )
    options = parser.parse_args()
    reason = missing()
    if reason:
        sys.exit(f"agents: {reason}")
    bench = Bench(options)
    points = POINTS if options.points is None else _points(options.points)
    for agents, replicas in points:
        bench.point(max(1, int(agents * options.scale)), max(1, int(replicas * options.scale)))
    if not options.no_idle:
        bench.idle(int(IDLE_AGENTS * options.scale))
    bench.report.show(options)


if __name__ == "__main__":
    main()
