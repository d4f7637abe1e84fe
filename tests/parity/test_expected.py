"""What a step shows is compared with what it is to show, while it is done."""

from typing import Any

from tests.parity.expected import Expected
from tests.parity.recorder import Row

NODE, OTHER, TASK, THEIRS = (letter * 24 + "1" for letter in "abcd")


def step(number: int, path: str, answer: Any, method: str = "GET") -> list[Row]:
    typed: Row = {"kind": "step", "step": number, "node": "node1", "cli": "x", "exit": 0, "stdout": "", "stderr": ""}
    asked: Row = {"kind": "exchange", "step": number, "method": method, "path": path, "query": {}, "status": 200}
    return [typed, {**asked, "response_json": answer}]


def nodes(node: str) -> list[Row]:
    return step(1, "/nodes", [{"ID": node, "CreatedAt": "t", "Description": {"Hostname": "node1"}}])


def tasks(task: str, node: str, state: str) -> list[Row]:
    return step(2, "/tasks", [{"ID": task, "NodeID": node, "State": state}])


def test_a_step_shows_what_is_expected_whatever_its_ids() -> None:
    expected = Expected([*nodes(NODE), *tasks(TASK, NODE, "running")])
    assert expected.shown(2, tasks(THEIRS, OTHER, "running"), nodes(OTHER))
    assert not expected.shown(2, tasks(THEIRS, OTHER, "starting"), nodes(OTHER))


def test_what_has_ended_since_does_not_come_back() -> None:
    ended: list[Any] = [{"ID": TASK, "DesiredState": "shutdown"}]
    expected = Expected(step(1, "/tasks", ended))
    assert not expected.missed(1, step(1, "/tasks", []))
    assert not expected.missed(1, step(1, "/tasks", ended))
    assert expected.missed(1, step(1, "/tasks", [*ended, {"ID": OTHER, "DesiredState": "shutdown"}]))


def test_only_what_changes_nothing_is_done_again() -> None:
    expected = Expected([*nodes(NODE), *step(2, "/tasks", []), *step(3, "/services/create", {}, "POST")])
    assert expected.reads(2, step(2, "/tasks", []))
    assert not expected.reads(2, step(2, "/services/create", {}, "POST"))
    assert not expected.reads(3, step(3, "/tasks", []))
