"""A swarm of real engines that skep manages, begun and joined as a user does it: by the client."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.acceptance.daemon import eventually
from tests.engines.engine import SOCKET, Engine
from tests.engines.rig import Rig
from tests.engines.skep_daemon import Skep

#: A node is down after three seconds of silence.
FAST = ("--dispatcher-heartbeat", "1s")

#: So that an attached client does not look on for the five seconds that are the default.
SHORT = ("--update-monitor", "200ms", "--rollback-monitor", "200ms")

#: For images that every engine has.
LOCAL = ("--no-resolve-image", "--detach")

LABEL = "com.docker.swarm.service.name"


class Swarm:
    """skep on a machine named `manager`, and the engines of `host-1` and so on.

    The manager runs no tasks, unless it is `local`: then its machine has an engine too.
    """

    def __init__(self, rig: Rig, home: Path, *, local: bool = False) -> None:
        self.rig = rig
        #: the engine of the manager's machine
        self.local: Engine | None = rig.engine("manager") if local else None
        machine = self.local.machine if self.local is not None else rig.machine("manager")
        options = ("--engine", f"unix://{SOCKET}") if local else ("--executor", "simulated")
        self.skep = Skep(machine, home, *options, "--advertise-addr", machine.address)
        self.workers: list[Engine] = []

    def begin(self, workers: int) -> None:
        """Start skep, type `docker swarm init`, and join engines; return when all are ready."""
        self.skep.start()
        init = () if self.local is not None else ("--availability", "drain")
        self.docker("swarm", "init", *init)
        self.docker("swarm", "update", *FAST)
        for engine in self.rig.engines(workers):
            self.join(engine)
        eventually(lambda: self.nodes() == dict.fromkeys(self.nodes(), "Ready"), "all nodes are ready")

    def join(self, engine: Engine, *options: str) -> None:
        """Type `docker swarm join` on an engine."""
        engine.docker("swarm", "join", *options, "--token", self.token(), self.addr)
        self.workers.append(engine)

    @property
    def addr(self) -> str:
        """Where engines join."""
        return f"{self.skep.address}:2377"

    def token(self, role: str = "worker") -> str:
        return self.docker("swarm", "join-token", "--quiet", role).strip()

    # --- what a user types

    def docker(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Return what the client prints; it must end with `code`."""
        return self.skep.docker(*words, stdin=stdin.encode(), code=code)

    def create(self, name: str, *words: str) -> None:
        """Create a service of an image that the engines have, and do not wait for it."""
        self.docker("service", "create", *LOCAL, "--name", name, *SHORT, *words)

    def update(self, name: str, *words: str) -> None:
        """Update a service, and do not wait for it."""
        self.docker("service", "update", *LOCAL, *words, name)

    # --- what it shows

    def nodes(self) -> dict[str, str]:
        """Return the status of each node by its host name."""
        return {row["Hostname"]: row["Status"] for row in self.skep.rows("node", "ls")}

    def node(self, engine: Engine) -> Any:
        """Return the node of an engine, as the API has it."""
        return self.show("node", engine.machine.name)

    def show(self, kind: str, name: str) -> Any:
        return self.skep.show(kind, "inspect", name)

    def tasks(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of all tasks of a service, ended ones too."""
        return self.skep.rows("service", "ps", "--no-trunc", name)

    def running(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of the tasks that run, and are wanted to."""
        rows = [row for row in self.tasks(name) if row["DesiredState"] == "Running"]
        return [row for row in rows if row["CurrentState"].startswith("Running")]

    def await_running(self, name: str, count: int) -> list[dict[str, Any]]:
        """Return the rows of the tasks of a service once so many run and no other is wanted to."""

        def run() -> list[dict[str, Any]]:
            found = self.running(name)
            wanted = [row for row in self.tasks(name) if row["DesiredState"] in ("Running", "Ready")]
            return found if len(found) == len(wanted) == count else []

        return eventually(run, f"{count} tasks of {name} run")

    def await_state(self, engine: Engine, state: str) -> None:
        eventually(lambda: self.nodes()[engine.machine.name] == state, f"{engine.machine.name} is {state}")


#: The fixture `swarm_of`: `swarm_of(workers)`, or `swarm_of(workers, local=True)`.
Begin = Callable[..., Swarm]


def containers(engine: Engine, name: str) -> dict[str, str]:
    """Return when each running container of a service on an engine began, by its id."""
    found = engine.docker("ps", "--no-trunc", "--quiet", "--filter", f"label={LABEL}={name}").split()
    began = {each: engine.client("inspect", "--format", "{{.State.StartedAt}}", each) for each in found}
    return {each: done.stdout.decode() for each, done in began.items() if done.returncode == 0}  # else it is gone


def everywhere(engines: Sequence[Engine], name: str) -> dict[str, str]:
    """Return the containers of a service on all of these engines."""
    return {id_: began for engine in engines for id_, began in containers(engine, name).items()}


def inside(engine: Engine, name: str, *command: str) -> str:
    """Return what a command prints in the container of a service on an engine."""
    return engine.docker("exec", next(iter(containers(engine, name))), *command)
