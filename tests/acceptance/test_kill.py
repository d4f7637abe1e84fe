"""kill -9, again and again, at random moments under load: what was acknowledged is there, and nothing is there twice.

A request without an answer may have been done or not; the next life's first look decides, and it must stay so.
"""

import base64
import http.client
import random
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import pytest

from tests.acceptance.daemon import PATIENCE_S, Answer, Daemon, UnixConnection, eventually, service

pytestmark = pytest.mark.timeout(1800)

SEED = 1
KILLS = 20
CLIENTS = 4

#: So many acknowledgements at most before a kill, all clients together.
ACKNOWLEDGED_MAX = 120

#: One kill of so many hits a daemon that is still starting.
STARTING_EVERY = 5
STARTING_S = 1.5

#: Few names, so that they are used again after they were removed.
NAMES = {"services": 2, "secrets": 3, "configs": 3}
REPLICAS_MAX = 2

DONE = {"services": 200, "secrets": 204, "configs": 204}


class Key(NamedTuple):
    kind: str
    name: str


class Known(NamedTuple):
    """An object as somebody was told that it is; the id is empty where nobody was told."""

    id: str
    spec: dict[str, Any]


def shown_as(kind: str, spec: dict[str, Any]) -> Any:
    """Return what of a spec the API must show as it was sent; of a secret's data it shows nothing."""
    if kind == "services":
        template = spec["TaskTemplate"]["ContainerSpec"]
        return spec["Labels"], spec["Mode"], template["Args"], template["Env"]
    return spec["Labels"], spec["Data"] if kind == "configs" else None


class Client:
    """Somebody who makes, changes and removes objects with names of their own, one request after the other."""

    def __init__(self, daemon: Daemon, number: int, acknowledged: threading.Semaphore) -> None:
        self._daemon = daemon
        self._random = random.Random(SEED * 1000 + number)  # noqa: S311 - a seed gives the same requests again
        self._acknowledged = acknowledged
        self._revision = 0
        self.truth: dict[Key, Known | None] = {
            Key(kind, f"{kind}-{number}-{one}"): None for kind, many in NAMES.items() for one in range(many)
        }
        #: what the request that has no answer would make true
        self.doubt: dict[Key, Known | None] = {}
        self.counts = {"create": 0, "update": 0, "remove": 0, "cut off": 0}

    def work(self) -> None:
        """Go on until the daemon is gone."""
        try:
            with closing(UnixConnection(self._daemon.socket)) as connection:
                while True:
                    self._step(connection)
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException):
            self.counts["cut off"] += bool(self.doubt)
        finally:
            self._acknowledged.release(ACKNOWLEDGED_MAX)

    def _step(self, connection: UnixConnection) -> None:
        key = self._random.choice(list(self.truth))
        known = self.truth[key]
        self._revision += 1
        if known is None:
            self._create(connection, key)
        elif self._random.random() < 0.6:
            self._update(connection, key, known)
        else:
            self.doubt = {key: None}
            answer = connection.ask("DELETE", f"/{key.kind}/{known.id}")
            self._note("remove", answer, DONE[key.kind], key, None)

    def _create(self, connection: UnixConnection, key: Key) -> None:
        spec = self._spec(key)
        self.doubt = {key: Known("", spec)}
        answer = connection.ask("POST", f"/{key.kind}/create", spec)
        self._note("create", answer, 201, key, Known(answer.value.get("ID", ""), spec))

    def _update(self, connection: UnixConnection, key: Key, known: Known) -> None:
        spec = self._spec(key)
        if key.kind != "services":
            spec["Data"] = known.spec["Data"]  # which cannot be changed
        path = f"/{key.kind}/{known.id}"
        while True:
            shown = connection.ask("GET", path)
            assert shown.status == 200, (path, shown)
            self.doubt = {key: Known(known.id, spec)}
            answer = connection.ask("POST", f"{path}/update?version={shown.value['Version']['Index']}", spec)
            if answer.status == 200 or "out of sequence" not in answer.message:
                break
        self._note("update", answer, 200, key, Known(known.id, spec))

    def _note(self, what: str, answer: Answer, status: int, key: Key, truth: Known | None) -> None:
        assert answer.status == status, (what, key, answer)
        self.truth[key] = truth
        self.doubt = {}
        self.counts[what] += 1
        self._acknowledged.release()

    def _spec(self, key: Key) -> dict[str, Any]:
        labels = {"revision": str(self._revision)}
        if key.kind != "services":
            data = f"{key.name} {self._revision} {self._random.random()}"
            return {"Name": key.name, "Labels": labels, "Data": base64.b64encode(data.encode()).decode()}
        spec = service(key.name, "sleep", "1000", replicas=self._random.randint(0, REPLICAS_MAX))
        spec["TaskTemplate"]["ContainerSpec"]["Env"] = [f"REVISION={self._revision // 2}"]
        spec["TaskTemplate"]["RestartPolicy"] = {"Delay": 100_000_000}
        # a kill is a failure of all tasks, which is no reason to stop an update
        update = {"Parallelism": 0, "Monitor": 1_000_000, "FailureAction": "continue"}
        return spec | {"Labels": labels, "UpdateConfig": update}


def test_after_every_kill_all_that_was_acknowledged_is_there_once(daemon: Daemon) -> None:
    moments = random.Random(SEED)  # noqa: S311 - likewise
    acknowledged = threading.Semaphore(0)
    clients = [Client(daemon, number, acknowledged) for number in range(CLIENTS)]
    daemon.start("--nodes", "2")
    assert daemon.ask("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377"}).status == 200

    for life in range(KILLS):
        if life % STARTING_EVERY == STARTING_EVERY - 1:
            stop_while_starting(daemon, moments)
        else:
            kill_under_load(daemon, clients, acknowledged, moments)
        dying = daemon.tasks()
        daemon.start("--nodes", "2")
        assert daemon.greeting.startswith("recovered swarm ")
        look(daemon, clients)
        assert not dying & daemon.tasks(), "a task outlived its daemon"

    # every kind of thing was done, and often; and kills met requests on their way
    counts = {what: sum(client.counts[what] for client in clients) for what in clients[0].counts}
    assert all(count >= KILLS for count in counts.values()), counts
    eventually(daemon.converged, "every service has the tasks that it wants")
    eventually(lambda: running(daemon) == sorted({process.task_id for process in daemon.tasks()}), "and no others")
    look(daemon, clients)
    read_secrets(daemon, [known for key, known in truths(clients) if key.kind == "secrets" and known is not None])


def kill_under_load(
    daemon: Daemon, clients: Sequence[Client], acknowledged: threading.Semaphore, moments: random.Random
) -> None:
    """Let all clients work, and kill the daemon some while after some acknowledgement."""
    while acknowledged.acquire(blocking=False):
        pass
    with ThreadPoolExecutor(len(clients)) as threads:
        working = [threads.submit(client.work) for client in clients]
        for _ in range(moments.randint(1, ACKNOWLEDGED_MAX)):
            assert acknowledged.acquire(timeout=PATIENCE_S)
        threading.Event().wait(moments.uniform(0, 0.02))  # the moment falls anywhere in what a request takes
        daemon.kill()
    for one in working:
        one.result()


def stop_while_starting(daemon: Daemon, moments: random.Random) -> None:
    """Kill the daemon, and the next one at any moment of its start."""
    daemon.kill()
    daemon.spawn("--nodes", "2")
    threading.Event().wait(moments.uniform(0, STARTING_S))
    daemon.kill()


def look(daemon: Daemon, clients: Sequence[Client]) -> None:
    """Compare what is there with what was acknowledged; where no answer came, take over which of the two it is."""
    shown: dict[Key, dict[str, Any]] = {}
    ids = set()
    for kind in NAMES:
        for one in daemon.get(f"/{kind}"):
            key = Key(kind, one["Spec"]["Name"])
            assert key not in shown, f"{key} is there twice"
            assert one["ID"] not in ids
            shown[key] = one
            ids.add(one["ID"])
    for client in clients:
        for key, truth in client.truth.items():
            found = shown.pop(key, None)
            possible = [truth, *(doubt for other, doubt in client.doubt.items() if other == key)]
            fitting = [each for each in possible if fits(key.kind, found, each)]
            assert fitting, (key, found, possible)
            client.truth[key] = fitting[-1] and Known(found["ID"] if found else "", fitting[-1].spec)
        client.doubt = {}
    assert not shown, "things that nobody made"


def fits(kind: str, found: dict[str, Any] | None, known: Known | None) -> bool:
    if found is None or known is None:
        return found is known
    same_id = known.id in ("", found["ID"])
    return same_id and shown_as(kind, found["Spec"] | {"Data": found["Spec"].get("Data")}) == shown_as(kind, known.spec)


def truths(clients: Sequence[Client]) -> Iterator[tuple[Key, Known | None]]:
    for client in clients:
        yield from client.truth.items()


def running(daemon: Daemon) -> list[str]:
    return sorted(task["ID"] for task in daemon.get("/tasks") if task["Status"]["State"] == "running")


def read_secrets(daemon: Daemon, secrets: Sequence[Known]) -> None:
    """See that every secret still holds what was put into it, by a task that prints them all."""
    assert secrets
    given = [
        {"SecretID": one.id, "SecretName": one.spec["Name"], "File": {"Name": one.spec["Name"], "Mode": 0o400}}
        for one in secrets
    ]
    script = 'cd "$SKEP_SECRETS_DIR"; for each in *; do cat $each; echo; done; exec sleep 1000'
    spec = service("reader", "sh", "-c", script)
    spec["TaskTemplate"]["ContainerSpec"]["Secrets"] = given
    daemon.create("services", spec)
    wanted = {base64.b64decode(one.spec["Data"]).decode() for one in secrets}
    eventually(lambda: wanted <= set(daemon.lines("/services/reader")), "it prints all of them")
