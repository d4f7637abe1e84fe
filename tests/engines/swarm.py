"""A swarm of real engines that skep manages, begun and joined as a user does it: by the client."""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.acceptance.daemon import UnixConnection, eventually
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
        found = get(self.skep, "/nodes")
        return {one["Description"]["Hostname"]: one["Status"]["State"].capitalize() for one in found}

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

        path = f"/tasks?filters={_filters(service=name)}"

        def run() -> bool:
            wanted = [one for one in get(self.skep, path) if one["DesiredState"] in ("running", "ready")]
            states = [(one["DesiredState"], one["Status"]["State"]) for one in wanted]
            return states == [("running", "running")] * count

        eventually(run, f"{count} tasks of {name} run")
        return self.running(name)

    def await_state(self, engine: Engine, state: str) -> None:
        eventually(lambda: self.nodes()[engine.machine.name] == state, f"{engine.machine.name} is {state}")


#: The fixture `swarm_of`: `swarm_of(workers)`, or `swarm_of(workers, local=True)`.
Begin = Callable[..., Swarm]


def get(engine: Engine, path: str) -> Any:
    """Return what the API of an engine, or of skep, has at a path; None if nothing.

    It is for what is asked again and again: the client takes long for it.
    """
    with contextlib.closing(UnixConnection(engine.socket)) as connection:
        answer = connection.ask("GET", path)
    assert answer.status in (200, 404), answer
    return answer.value if answer.status == 200 else None


def _filters(**terms: str) -> str:
    return quote(json.dumps({name: [term] for name, term in terms.items()}))


def containers(engine: Engine, name: str) -> dict[str, str]:
    """Return when each running container of a service on an engine began, by its id."""
    found = get(engine, f"/containers/json?filters={_filters(label=f'{LABEL}={name}')}")
    shown = {each["Id"]: get(engine, f"/containers/{each['Id']}/json") for each in found}
    return {id_: one["State"]["StartedAt"] for id_, one in shown.items() if one is not None}


def everywhere(engines: Sequence[Engine], name: str) -> dict[str, str]:
    """Return the containers of a service on all of these engines."""
    return {id_: began for engine in engines for id_, began in containers(engine, name).items()}


def inside(engine: Engine, name: str, *command: str) -> str:
    """Return what a command prints in the container of a service on an engine."""
    return engine.docker("exec", next(iter(containers(engine, name))), *command)
