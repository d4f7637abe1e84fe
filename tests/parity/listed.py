"""The differences that are known, each with its reason: `differences.toml`."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tests.parity.compare import Difference, spoken

FILE = Path(__file__).parent / "differences.toml"

#: - purpose: skep does it otherwise, and means to. - lacks: skep does not offer it.
#: - noise: it is drawn, or depends on the instant, so two runs of a real swarm may differ as well.
#: - kernel, managers: what the machine lacks, or what takes several managers: excluded, and not counted.
Kind = Literal["purpose", "lacks", "noise", "kernel", "managers"]

EXCLUDED = ("kernel", "managers")

#: the lines of the reference, and of the other recording
Said = tuple[frozenset[str], frozenset[str]]
NOTHING: Said = (frozenset(), frozenset())


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reason. What is left out holds for all.

    `lines` has to match every line that differs. `moved` asks that the recordings say the same, but not there: each
    line that differs stands somewhere in the other recording as well, or matches `lines`.
    """

    why: str
    kind: Kind
    scenario: str = ""
    steps: tuple[int, ...] = ()
    #: "cli", or the method and path of an exchange, as they are shown
    what: str = ""
    lines: str = ""
    moved: bool = False

    def covers(self, scenario: str, difference: Difference, said: Said = NOTHING) -> bool:
        """Say whether it is the reason of a difference; `said` are the lines of both recordings."""
        return (
            self.scenario in ("", scenario)
            and (not self.steps or difference.step in self.steps)
            and self.what in ("", difference.what)
            and all(self._covers(line, said) for line in changed(difference.lines))
        )

    def _covers(self, line: str, said: Said) -> bool:
        matches = bool(self.lines) and re.fullmatch(self.lines, line) is not None
        return matches or (_moved(line, said) if self.moved else not self.lines)


def _moved(line: str, said: Said) -> bool:
    """Say whether a line stands in the other recording, too: requests do, and which of two ids is meant."""
    if line.endswith((" it is asked", " it is not asked")) or line[:1] not in ("-", "+"):
        return True
    return all(cell in said[line[0] == "-"] for cell in spoken(line[1:]))


def changed(lines: Sequence[str]) -> list[str]:
    """Return what is more or less, without what stands around it."""
    return [line for line in lines if not line.startswith(" ")]


def read() -> tuple[Entry, ...]:
    """Return all entries."""
    return tuple(msgspec.toml.decode(FILE.read_bytes(), type=dict[str, tuple[Entry, ...]])["difference"])


def reason(entries: Iterable[Entry], scenario: str, difference: Difference, said: Said = NOTHING) -> Entry | None:
    """Return the first entry that is the reason of a difference; None if it has none."""
    return next((entry for entry in entries if entry.covers(scenario, difference, said)), None)
