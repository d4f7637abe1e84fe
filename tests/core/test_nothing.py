"""The index that all share which have none stays empty, whoever forgets to ask for one of its own."""

from collections.abc import Callable
from typing import Any

import pytest
from skep.core.indexes import ServiceTasks
from skep.core.nothing import NOTHING


@pytest.mark.parametrize(
    "put",
    [
        lambda index: index.__setitem__("a", None),
        lambda index: index.setdefault("a", None),
        lambda index: index.update(a=None),
        lambda index: index.__ior__({"a": None}),
    ],
)
def test_nothing_can_be_put_into_what_all_share(put: Callable[[dict[str, Any]], object]) -> None:
    with pytest.raises(TypeError, match="nothing can be put"):
        put(NOTHING)
    assert not NOTHING


def test_an_index_that_was_asked_for_is_one_s_own() -> None:
    one, other = ServiceTasks(), ServiceTasks()
    one.index("ended")["t"] = None
    one.index("ended")["u"] = None
    assert list(one.ended) == ["t", "u"]
    assert not other.ended
    assert one.copy().ended == one.ended
    assert one.copy().ended is not one.ended
