"""What a step is to show, by the recording: until it does, it may be on its way."""

from collections.abc import Container

from tests.parity.compare import compared
from tests.parity.recorder import Row


class Expected:
    """What the steps of a recording show."""

    def __init__(self, reference: list[Row]) -> None:
        self._reference = reference
        # they tell which id is which node
        self._telling = {row["step"] for row in reference if "/nodes" in row.get("path", "")}

    def reads(self, step: int, own: list[Row]) -> bool:
        """Say whether a step changes nothing, as it was recorded and as it was done."""
        rows = _of([*self._reference, *own], {step})
        return all(row["method"] in ("GET", "HEAD") for row in rows if row["kind"] == "exchange")

    def missed(self, step: int, own: list[Row]) -> bool:
        """Say whether what was recorded is past: more tasks have ended since, and none of them comes back."""
        return _ended(own) > _ended(_of(self._reference, {step}))

    def shown(self, step: int, own: list[Row], others: list[Row]) -> bool:
        """Say whether the rows of a step show what was recorded; `others` are those of the steps before."""
        for before in (set[int](), self._telling):
            there, here = _of(self._reference, {step, *before}), [*_of(others, before), *own]
            if not any(difference.step == step for difference in compared(there, here).differences):
                return True
        return False


def _ended(rows: list[Row]) -> int:
    answers = (row.get("response_json") for row in rows if row.get("path", "").endswith("/tasks"))
    tasks = (each for answer in answers if isinstance(answer, list) for each in answer)
    return sum(task.get("DesiredState") == "shutdown" for task in tasks)


def _of(rows: list[Row], steps: Container[int]) -> list[Row]:
    return [row for row in rows if row.get("step") in steps]
