"""What the contract suites expect of a call that must fail; without pytest, so that any runner can run them."""

from collections.abc import Iterator
from contextlib import contextmanager


class Caught:
    """The error that `raising` waited for; set when its block has ended."""

    error: BaseException | None = None

    def __str__(self) -> str:
        return str(self.error)


@contextmanager
def raising(*kinds: type[BaseException]) -> Iterator[Caught]:
    """Expect the block to raise one of `kinds`; give what was caught afterwards."""
    caught = Caught()
    try:
        yield caught
    except kinds as error:
        caught.error = error
        return
    raise AssertionError(f"expected {' or '.join(kind.__name__ for kind in kinds)}, and nothing was raised")
