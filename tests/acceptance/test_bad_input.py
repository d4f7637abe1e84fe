"""What cannot be is refused by status, field and value, leaves no trace, and is over once its reason is."""

import base64
import errno
import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.acceptance.daemon import APART, PATIENCE_S, SKEP, TICKING, Answer, Daemon, eventually, service

pytestmark = pytest.mark.timeout(600)

ACTIVE = {"Role": "manager", "Availability": "active"}

NOT_A_MANAGER = "This node is not a swarm manager."
OUT_OF_SEQUENCE = "update out of sequence"
SIMULATED = ("--executor", "simulated")


def template(**said: Any) -> dict[str, Any]:
    """Return the spec of a service with that in its task's template."""
    spec = service("new", "sleep", "1")
    return spec | {"TaskTemplate": spec["TaskTemplate"] | said}


def container(**said: Any) -> dict[str, Any]:
    """Return the spec of a service with that in its container's spec."""
    return template(ContainerSpec={"Image": "host", "Args": ["sleep", "1"], **said})


def update(kind: str, name: str, version: object = 1) -> str:
    return f"/{kind}/{name}/update?version={version}"


class Refused(NamedTuple):
    """A request, and the status and words that it must be refused with."""

    method: str
    path: str
    body: Any
    status: int
    words: str


SERVICE = ("POST", "/services/create")
SECRET = ("POST", "/secrets/create")
CONFIG = ("POST", "/configs/create")
GO_FIELD = "into Go struct field"

REFUSED = (
    # what is no JSON
    Refused(*SERVICE, b'{"Name": ', 400, "unexpected EOF"),
    Refused(*SERVICE, b'{"Name" "x"}', 400, "invalid character '\"' after object key"),
    Refused(*SERVICE, b"", 400, "got EOF while reading request body"),
    Refused("GET", "/services?filters={bad", None, 400, "invalid character 'b' looking for beginning of object key"),
    # wrong types
    Refused(*SERVICE, {"Name": 3}, 400, f"cannot unmarshal number {GO_FIELD} ServiceSpec.Name of type string"),
    Refused(
        *SERVICE,
        template() | {"Mode": {"Replicated": {"Replicas": -1}}},
        400,
        f"cannot unmarshal number -1 {GO_FIELD} ReplicatedService.Mode.Replicated.Replicas of type uint64",
    ),
    Refused(
        *SERVICE,
        container(Env="A=1"),
        400,
        f"cannot unmarshal string {GO_FIELD} ContainerSpec.TaskTemplate.ContainerSpec.Env of type []string",
    ),
    Refused(*CONFIG, {"Name": "new", "Data": "?"}, 400, "illegal base64 data at input byte 0"),
    # values that cannot be
    Refused(*SERVICE, template(Runtime="plugin"), 400, "mismatched Runtime and *Spec fields"),
    Refused(*SERVICE, template(Networks=[{"Target": "net"}]), 500, "network net not found"),
    Refused(*SERVICE, service("a b", "x"), 400, "name must be valid as a DNS name component"),
    Refused(*SERVICE, container(Image="A B"), 400, '"A B" is not a valid repository/tag'),
    Refused(*SERVICE, template(RestartPolicy={"Condition": "often"}), 400, 'invalid RestartCondition: "often"'),
    Refused(*SERVICE, template() | {"UpdateConfig": {"FailureAction": "explode"}}, 400, "failure action explode"),
    Refused(*SERVICE, template() | {"UpdateConfig": {"MaxFailureRatio": 2}}, 400, "update-maxfailureratio cannot be"),
    Refused(*SECRET, {"Name": "new", "Data": ""}, 400, "secret data must be larger than 0 and less than 512000 bytes"),
    Refused("POST", update("nodes", "{node}", "{version}"), {"Role": "boss"}, 400, 'invalid Role: "boss"'),
    Refused("GET", '/services?filters={"colour":["red"]}', None, 400, "Invalid filter 'colour'"),
    # what is not there yet
    Refused("POST", "/networks/net/connect", {}, 501, "skep does not implement connecting containers to networks"),
    Refused("POST", "/networks/create", {"Name": "net"}, 501, "does not implement networks of one engine"),
    # names that are taken
    Refused(*SERVICE, service("web", "x"), 409, "name conflicts with an existing object: service web already exists"),
    Refused(*SECRET, {"Name": "door", "Data": "eA=="}, 409, "secret door already exists"),
    Refused(*CONFIG, {"Name": "page", "Data": "eA=="}, 409, "config page already exists"),
    # what nobody knows
    *(
        Refused(method, f"/{kind}s/nope", None, 404, f"{kind} nope not found")
        for kind in ("service", "task", "node", "secret", "config")
        for method in (("GET",) if kind == "task" else ("GET", "DELETE"))
    ),
    Refused("POST", update("services", "nope"), template(), 404, "service nope not found"),
    Refused("GET", "/services/nope/logs?stdout=1", None, 404, "service nope not found"),
    Refused(
        *SERVICE,
        container(Secrets=[{"SecretID": "nope", "SecretName": "nope", "File": {"Name": "door"}}]),
        400,
        "secret not found: nope",
    ),
    Refused("GET", "/nowhere", None, 404, "page not found"),
    # stale versions
    Refused("POST", update("services", "web", 1), service("web", "other"), 500, OUT_OF_SEQUENCE),
    Refused("POST", update("services", "web", 10**9), service("web", "other"), 500, OUT_OF_SEQUENCE),
    Refused("POST", update("services", "web", "x"), service("web", "other"), 400, "invalid service version 'x'"),
    Refused("POST", update("secrets", "door", 1), {"Name": "door"}, 500, OUT_OF_SEQUENCE),
    Refused("POST", update("configs", "page", 1), {"Name": "page"}, 500, OUT_OF_SEQUENCE),
    Refused("POST", update("nodes", "{node}", 10**9), ACTIVE, 500, OUT_OF_SEQUENCE),
    # the wrong moment
    Refused("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377"}, 503, "This node is already part of a swarm."),
    Refused("POST", "/swarm/leave", None, 503, "Use `--force`"),
    Refused("DELETE", "/nodes/{node}", None, 400, "must be demoted to worker before removal"),
)

WITHOUT_A_SWARM = (
    *(("GET", f"/{kind}") for kind in ("services", "tasks", "nodes", "secrets", "configs", "swarm")),
    ("GET", "/services/web"),
    ("DELETE", "/services/web"),
    ("GET", "/swarm/unlockkey"),
)


def begin(daemon: Daemon) -> None:
    assert daemon.ask("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377"}).status == 200


def everything(daemon: Daemon) -> Any:
    return [daemon.get(f"/{kind}") for kind in ("services", "nodes", "secrets", "configs", "swarm")]


def test_what_cannot_be_is_refused_in_words_and_changes_nothing(daemon: Daemon) -> None:
    daemon.start(*SIMULATED)
    begin(daemon)
    daemon.create("secrets", {"Name": "door", "Data": "eA=="})
    daemon.create("configs", {"Name": "page", "Data": "eA=="})
    daemon.create("services", service("web", "sleep", "1000"))
    eventually(lambda: daemon.converged("web"), "it runs")
    (node,) = daemon.get("/nodes")
    before = everything(daemon)
    for method, pattern, body, status, words in REFUSED:
        path = pattern.replace("{node}", node["ID"]).replace("{version}", str(node["Version"]["Index"]))
        answer = daemon.ask(method, path, body)
        assert answer.status == status, (method, path, body, answer)
        assert words in answer.message, (method, path, body, answer)
    assert everything(daemon) == before


def test_without_a_swarm_everything_says_so(daemon: Daemon) -> None:
    daemon.start(*SIMULATED)
    asked = [daemon.ask(method, path) for method, path in WITHOUT_A_SWARM]
    asked += [daemon.ask(*SERVICE, template()), daemon.ask(*SECRET, {"Name": "x", "Data": "eA=="})]
    for answer in asked:
        assert answer.status == 503, answer
        assert NOT_A_MANAGER in answer.message
    left = daemon.ask("POST", "/swarm/leave?force=true")
    assert (left.status, left.message) == (503, "This node is not part of a swarm")


# --- no room


@pytest.fixture
def small(daemon: Daemon) -> Iterator[Daemon]:
    """A daemon whose data directory is a small file system."""
    daemon.data.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "skep-test", str(daemon.data)]
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small file system: {mounted.stderr}")
    try:
        yield daemon
        daemon.close()
    finally:
        daemon.discard()
        subprocess.run(["umount", daemon.data], check=True)


def fill(path: Path) -> None:
    """Write to `path` until there is no room."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for size in (64 * 1024, 4096, 1):
            try:
                while os.write(descriptor, bytes(size)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017 - it is what we wait for
    finally:
        os.close(descriptor)


def config(name: str) -> dict[str, str]:
    return {"Name": name, "Data": base64.b64encode(random.Random(name).randbytes(3000)).decode()}  # noqa: S311 - any


def test_a_full_disk_is_answered_until_there_is_room_and_nothing_is_lost(small: Daemon) -> None:
    small.start("--nodes", "2")
    begin(small)
    small.create("services", service("web", *TICKING, replicas=2))
    eventually(small.converged, "it runs")
    eventually(lambda: len(small.lines("/services/web")) >= 2, "it prints")
    running = small.tasks()
    filler = small.data / "filler"
    fill(filler)

    acknowledged: list[str] = []
    refused: list[str] = []

    def ask() -> Answer:
        name = f"config-{len(acknowledged) + len(refused)}"
        answer = small.ask(*CONFIG, config(name))
        (acknowledged if answer.status == 201 else refused).append(name)
        return answer

    while (answer := ask()).status == 201:  # files may have had some room in them
        pass
    assert answer.status == 503
    assert f"{small.log()}: database or disk is full" in answer.message
    changing = (
        (*CONFIG, config("another")),
        (*SECRET, {"Name": "door", "Data": "eA=="}),
        (*SERVICE, template()),
        ("DELETE", "/services/web", None),
        ("POST", "/swarm/leave?force=true", None),
        ("POST", f"/swarm/update?version={small.get('/swarm')['Version']['Index']}&rotateWorkerToken=true", {}),
    )
    for method, path, body in changing:
        answer = small.ask(method, path, body)
        assert answer.status == 503, (path, answer)
        assert "database or disk is full" in answer.message
    # what needs no room goes on
    assert [one["Spec"]["Name"] for one in small.get("/services")] == ["web"]
    assert {one["Spec"]["Name"] for one in small.get("/configs")} == set(acknowledged)
    assert small.tasks() >= running

    filler.unlink()
    eventually(lambda: ask().status == 201, "it takes commands again")
    assert {one["Spec"]["Name"] for one in small.get("/configs")} == set(acknowledged)
    for one in small.get("/configs"):
        assert one["Spec"]["Data"] == config(one["Spec"]["Name"])["Data"]
    small.create("secrets", {"Name": "door", "Data": "eA=="})
    printed = len(small.lines("/services/web"))
    eventually(lambda: len(small.lines("/services/web")) > printed, "what it prints is kept again")
    assert {one.task_id for one in small.tasks()} == {one.task_id for one in running}

    small.stop()
    small.start("--nodes", "2")
    assert {one["Spec"]["Name"] for one in small.get("/configs")} == set(acknowledged)
    eventually(small.converged, "it runs again")


# --- damage


def records(daemon: Daemon) -> list[tuple[int, str, bytes]]:
    with closing(sqlite3.connect(f"file:{daemon.log()}?mode=ro", uri=True)) as log:
        return log.execute("SELECT * FROM log").fetchall()


def test_a_flipped_bit_in_the_log_is_named_by_its_position_and_the_log_left_as_it_is(daemon: Daemon) -> None:
    daemon.start(*SIMULATED)
    begin(daemon)
    for number in range(100):
        daemon.create("configs", {"Name": f"config-{number}", "Data": "eA=="})
    position = daemon.get("/configs/config-50")["Version"]["Index"]
    daemon.stop()
    whole = daemon.log().read_bytes()
    assert whole.count(b'"config-50"') == 2  # in the command, and in the event that came of it
    at = whole.index(b'"config-50"') + 3
    daemon.log().write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    damaged = records(daemon)

    said = daemon.verify(code=1)
    assert f"position {position - 1} is the last good one" in said
    assert f"the record at position {position} is not what was written" in said
    # a checkpoint stands for what it covers, so without one the whole log is needed
    shutil.rmtree(daemon.log().with_name("checkpoints"))
    up = [*SKEP, "up", "--data", str(daemon.data), *APART, *SIMULATED]
    done = subprocess.run(up, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"the record at position {position} is not what was written" in done.stderr
    assert f"damaged after position {position - 1} and was left as it is" in done.stderr
    assert "Traceback" not in done.stderr
    assert records(daemon) == damaged

    daemon.log().write_bytes(whole)  # the backup
    daemon.start(*SIMULATED)
    assert len(daemon.get("/configs")) == 100
