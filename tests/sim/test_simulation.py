"""Seeded stories of a whole engine end well, and one seed is one story."""

import os
import subprocess
import sys

import pytest
from skep.testing.simulation.run import simulate

#: Where a change breaks something, run many more: `python -m skep.testing.simulation --seeds 0:10000`.
SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_story_ends_well(seed: int) -> None:
    ended = simulate(seed)
    assert ended.records > 0


def test_the_stories_are_not_idle() -> None:
    """What is asked is mostly done, and engines do crash."""
    ended = [simulate(seed) for seed in range(8)]
    assert sum(each.acknowledged for each in ended) > 50
    assert sum(each.crashes for each in ended) > 8
    assert sum(each.records for each in ended) > 1000


def test_one_seed_is_one_story() -> None:
    assert simulate(3) == simulate(3)
    assert simulate(3).digest != simulate(4).digest


def test_one_seed_is_one_story_under_any_hash_seed() -> None:
    command = [sys.executable, "-m", "skep.testing.simulation", "--seeds", "0:3", "--digests"]
    told = [
        subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": str(seed)}, check=True, capture_output=True).stdout
        for seed in (1, 2)
    ]
    assert told[0] == told[1]
    assert len(told[0].splitlines()) == 3
