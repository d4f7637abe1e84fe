"""The differences that are known, each with its reason: `differences.toml`."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tests.parity.compare import Difference

FILE = Path(__file__).parent / "differences.toml"

#: - purpose: skep does it otherwise, and means to. - lacks: skep does not offer it.
#: - noise: two runs of a real swarm differ as well.
#: - kernel, managers: what the machine lacks, or what takes several managers: excluded, and not counted.
Kind = Literal["purpose", "lacks", "noise", "kernel", "managers"]

EXCLUDED = ("kernel", "managers")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reason. What is left out holds for all; `lines` has to match every line that differs."""

    why: str
    kind: Kind
    scenario: str = ""
    steps: tuple[int, ...] = ()
    #: "cli", or the method and path of an exchange, as they are shown
    what: str = ""
    lines: str = ""

    def covers(self, scenario: str, difference: Difference) -> bool:
        """Say whether it is the reason of a difference."""
        return (
            self.scenario in ("", scenario)
            and (not self.steps or difference.step in self.steps)
            and self.what in ("", difference.what)
            and all(re.fullmatch(self.lines, line) for line in changed(difference.lines) if self.lines)
        )


def changed(lines: Sequence[str]) -> list[str]:
    """Return what is more or less, without what stands around it."""
    return [line for line in lines if not line.startswith(" ")]


def read() -> tuple[Entry, ...]:
    """Return all entries."""
    return tuple(msgspec.toml.decode(FILE.read_bytes(), type=dict[str, tuple[Entry, ...]])["difference"])


def reason(entries: Iterable[Entry], scenario: str, difference: Difference) -> Entry | None:
    """Return the first entry that is the reason of a difference; None if it has none."""
    return next((entry for entry in entries if entry.covers(scenario, difference)), None)
