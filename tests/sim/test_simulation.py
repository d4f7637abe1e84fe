"""Seeded stories of a whole engine end well, and one seed is one story."""

import os
import subprocess
import sys

import pytest
from msgspec.structs import replace
from skep.testing.simulation.always import Failed
from skep.testing.simulation.marks import MARKS, NOTED, Scene
from skep.testing.simulation.run import COMMANDS, FAULTS, NODES, check_size, simulate
from skep.testing.simulation.sweep import MANY, Broke, Sum, sweep

#: `make test` tells a thousand in a stage of its own; these are looked at in every way.
SEEDS = range(5000, 5006)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_story_ends_well_and_is_no_small_one(seed: int) -> None:
    ended = simulate(seed)
    assert ended.verified
    assert ended.nodes >= NODES
    assert ended.commands >= COMMANDS
    assert ended.faults >= FAULTS
    assert ended.acknowledged > COMMANDS / 4
    assert ended.crashes > 0
    assert ended.records > 300
    assert set(ended.marks) <= set(MARKS)


def test_one_seed_is_one_story_under_any_hash_seed() -> None:
    command = [sys.executable, "-m", "skep.testing.simulation", "--seeds", "0:2", "--processes", "1", "--digests"]
    told = [
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": str(seed)}, check=True, capture_output=True).stdout
        for seed in (1, 2)
    ]
    assert told[0] == told[1]
    assert len(told[0].splitlines()) == 2
    assert len({line.split()[1] for line in told[0].splitlines()}) == 2


def test_how_closely_a_story_is_looked_at_makes_no_difference_to_it() -> None:
    assert simulate(7).digest == simulate(7, verified=False, check_every=50).digest


def test_a_mark_that_is_in_no_table_cannot_be_noted() -> None:
    scene = Scene()
    scene.note(NOTED[0])
    assert list(scene.reached) == [NOTED[0]]
    with pytest.raises(KeyError, match="is no mark"):
        scene.note("no-such-mark")


def test_marks_are_missed_only_where_enough_stories_were_told() -> None:
    few, many = Sum(seeds=MANY - 1), Sum(seeds=MANY)
    assert few.missed == []
    assert many.missed == list(MARKS)
    many.marks[MARKS[0]] = 1
    assert many.missed == list(MARKS[1:])


def test_a_story_that_breaks_is_told_with_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AssertionError("the plan wants what it has")

    monkeypatch.setattr("skep.testing.simulation.run.judge", broken)
    told = Sum()
    for ended in sweep([11], processes=1, verify_all=False):
        told.add(ended)
    assert [broke.seed for broke in told.broke] == [11]
    assert isinstance(told.broke[0], Broke)
    assert "the plan wants what it has" in told.broke[0].why
    assert "in tell" in told.broke[0].traceback


@pytest.mark.parametrize("fewer", [{"nodes": NODES - 1}, {"commands": COMMANDS - 1}, {"faults": FAULTS - 1}])
def test_a_story_with_too_little_in_it_fails(fewer: dict[str, int]) -> None:
    ended = simulate(7, verified=False, check_every=50)
    with pytest.raises(Failed, match="too small"):
        check_size(replace(ended, **fewer))
