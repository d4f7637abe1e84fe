"""What came of a scenario, and of all of them."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from tests.parity.compare import Comparison, Difference
from tests.parity.listed import EXCLUDED, Entry, reason


class Result(msgspec.Struct):
    """One scenario. Figures count its steps and exchanges together."""

    name: str
    steps: int = 0
    exchanges: int = 0
    #: how many differ, by the kind of their reason
    listed: dict[str, int] = {}
    #: what differs and is not listed
    unlisted: list[Difference] = []
    #: the reasons that were met
    met: list[Entry] = []
    #: what was waited for in vain
    missed: list[str] = []
    seconds: float = 0.0
    #: the run that this is of: another one differed more
    runs: int = 1
    #: why it was not run to its end
    failed: str = ""

    @property
    def excluded(self) -> int:
        return sum(self.listed.get(kind, 0) for kind in EXCLUDED)

    @property
    def counted(self) -> int:
        return self.steps + self.exchanges - self.excluded

    @property
    def equal(self) -> int:
        return max(0, self.counted - len(self.unlisted) - sum(self.listed.values()) + self.excluded)

    @property
    def good(self) -> bool:
        return not self.failed and not self.unlisted

    def line(self) -> str:
        """Return it in a line."""
        if self.failed:
            return f"{self.name}: {self.failed}"
        kinds = "".join(f", {count} {kind}" for kind, count in sorted(self.listed.items()))
        words = f"{self.name}: {self.equal} of {self.counted} equal{kinds}"
        unlisted = f", {len(self.unlisted)} NOT LISTED" if self.unlisted else ""
        waited = f", waited in vain for {'; '.join(self.missed)}" if self.missed else ""
        again = f", in run {self.runs}" if self.runs > 1 else ""
        return (
            f"{words}{unlisted}{waited}{again} ({self.steps} steps, {self.exchanges} exchanges, {self.seconds:.0f} s)"
        )


def judged(name: str, comparison: Comparison, entries: Sequence[Entry]) -> Result:
    """Return a result: each difference with its reason, where there is one."""
    listed: Counter[str] = Counter()
    unlisted, met = [], []
    for difference in comparison.differences:
        entry = reason(entries, name, difference, comparison.said)
        if entry is None:
            unlisted.append(difference)
            continue
        listed[entry.kind] += 1
        if entry not in met:
            met.append(entry)
    return Result(name, comparison.steps, comparison.exchanges, dict(listed), unlisted, met)


def total(results: Iterable[Result]) -> str:
    """Return the sum of results in a line."""
    found = list(results)
    counted, equal = sum(each.counted for each in found), sum(each.equal for each in found)
    excluded = sum(each.excluded for each in found)
    unlisted = sum(len(each.unlisted) for each in found)
    all_ = max(1, counted + excluded)
    return (
        f"{equal} of {counted} steps and exchanges are equal ({100 * equal / max(1, counted):.1f} %); "
        f"{unlisted} differ without a reason; excluded: {excluded} of {all_} ({100 * excluded / all_:.1f} %)"
    )
