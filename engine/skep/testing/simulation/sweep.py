"""Many stories, in as many processes as there are cores: what came of them all, and which of them failed.

Stories are independent and seeds are handed out one by one, so what is reported does not depend on how they are spread.
"""

import gc
import logging
import multiprocessing
import traceback
from collections.abc import Iterator, Sequence

import structlog
from msgspec import Struct, field

from skep.testing.simulation.marks import MARKS
from skep.testing.simulation.run import Ended, simulate

#: A story in so many has its log verified at its end: that takes as long again as the story itself.
VERIFIED_EVERY = 20

#: The invariants are looked at after so many groups, and at the end; where the log is verified, more often.
CHECK_EVERY = 50
CHECK_EVERY_VERIFIED = 5

#: A run of so many stories must reach every mark; the rarest is reached by about one in a hundred.
MANY = 1000

#: Memory that stories leave behind is collected after so many: the collector would take a tenth of the time.
COLLECT_EVERY = 5


class Broke(Struct, frozen=True):
    """A story that failed: what was wrong, with the story of the object, and the traceback."""

    seed: int
    why: str
    traceback: str


class Sum(Struct):
    """What came of all stories so far."""

    seeds: int = 0
    records: int = 0
    commands: int = 0
    acknowledged: int = 0
    faults: int = 0
    crashes: int = 0
    verified: int = 0
    #: in how many stories each mark was reached
    marks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MARKS, 0))
    digests: dict[int, str] = field(default_factory=dict)
    broke: list[Broke] = field(default_factory=list)

    def add(self, ended: Ended | Broke) -> None:
        """Count a story."""
        self.seeds += 1
        if isinstance(ended, Broke):
            self.broke.append(ended)
            return
        self.records += ended.records
        self.commands += ended.commands
        self.acknowledged += ended.acknowledged
        self.faults += ended.faults
        self.crashes += ended.crashes
        self.verified += ended.verified
        for mark in ended.marks:
            self.marks[mark] += 1
        self.digests[ended.seed] = ended.digest

    @property
    def missed(self) -> list[str]:
        """The marks that no story reached, where there were enough stories to reach them all."""
        return [mark for mark, stories in self.marks.items() if not stories] if self.seeds >= MANY else []


class Thoroughly(Struct, frozen=True):
    """A seed, whether its log is verified, and after how many groups the invariants are looked at."""

    seed: int
    verified: bool
    check_every: int


def sweep(seeds: Sequence[int], *, processes: int, verify_all: bool) -> Iterator[Ended | Broke]:
    """Tell the stories of `seeds`, and yield what came of each as it ends."""
    work = [_thoroughly(seed, alone=len(seeds) == 1, verify_all=verify_all) for seed in seeds]
    if processes == 1 or len(work) == 1:
        _settle()
        yield from map(_tell, work)
        return
    # forked: two seconds of imports fewer; nothing here has threads or loops
    with multiprocessing.get_context("fork").Pool(min(processes, len(work)), _settle) as pool:
        yield from pool.imap_unordered(_tell, work)


def _thoroughly(seed: int, *, alone: bool, verify_all: bool) -> Thoroughly:
    """Say how closely a story is looked at; one that is told alone after every group."""
    verified = verify_all or seed % VERIFIED_EVERY == 0
    return Thoroughly(seed, verified, 1 if alone else CHECK_EVERY_VERIFIED if verified else CHECK_EVERY)


def _settle() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    gc.freeze()
    gc.disable()


def _tell(work: Thoroughly) -> Ended | Broke:
    try:
        return simulate(work.seed, verified=work.verified, check_every=work.check_every)
    except Exception as error:  # noqa: BLE001 - whatever broke is the story's end, and is told
        return Broke(work.seed, "; ".join(_why(error)), traceback.format_exc())
    finally:
        if work.seed % COLLECT_EVERY == 0:
            gc.collect()


def _why(error: BaseException) -> Iterator[str]:
    """Yield what went wrong at the root of it."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _why(each)
    else:
        yield f"{type(error).__name__}: {error}"
