"""The harnesses are modules of this folder, which is on the path for its own tests only."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_harness import running_engine, why_not  # found by the line above


@pytest.fixture(scope="session")
def engine() -> Iterator[Path]:
    """Run one Docker Engine for all tests of this folder; its socket."""
    if reason := why_not():
        pytest.skip(reason)
    with running_engine() as socket:
        yield socket
