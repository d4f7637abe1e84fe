"""A worker can do what its own certificate allows, and nothing else."""

import json
import sys
from pathlib import Path

from tests.engines.swarm import Begin, containers

IMPOSTOR = Path(__file__).with_name("impostor.py")


def test_a_worker_that_does_what_it_may_not_is_refused(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    engine = swarm.workers[0]
    swarm.create("web", "app:v1")
    task = swarm.await_running("web", 1)[0]
    before = containers(engine, "web")
    guest = swarm.rig.machine("guest")
    node_id = swarm.node(engine)["ID"]
    said = guest.run(sys.executable, str(IMPOSTOR), swarm.addr, swarm.token(), task["ID"], node_id)
    answers = {name: tuple(answer) for name, answer in json.loads(said).items()}
    statuses = {name: status for name, (status, _) in answers.items()}
    assert statuses == {
        "a report of nobody": "UNAUTHENTICATED",
        "a request that is none": "INVALID_ARGUMENT",
        "a report of another node's task": "PERMISSION_DENIED",
        "a report of a task that nobody knows": "OK",
        "a heartbeat of another session": "ABORTED",
        "a method that is not offered": "UNIMPLEMENTED",
        "the key that unlocks managers": "UNIMPLEMENTED",
        "lines that nobody asked for": "NOT_FOUND",
    }
    assert swarm.nodes()["impostor"] in ("Ready", "Down")
    assert [row["ID"] for row in swarm.await_running("web", 1)] == [task["ID"]]
    assert containers(engine, "web") == before
    assert "impostor" not in swarm.docker("service", "logs", "web")
