"""Engines for one test: new ones each time, since a new one is there sooner than a used one is clean."""

import contextlib
from pathlib import Path
from typing import Self

from tests.engines import images
from tests.engines.engine import Engine
from tests.engines.lan import SUBNET, Lan
from tests.engines.machine import Machine


class Rig:
    """Machines on one network, with engines or without; use it as a context, and none of them is left.

    `home` is for what engines log; `images` is what `prepared` returned. Machines have the addresses of `subnet`, from
    the number `first` on.
    """

    def __init__(self, home: Path, images: bytes = b"", *, subnet: str = SUBNET, first: int = 1) -> None:
        self._home = home
        self._images = images
        self._subnet, self._first = subnet, first
        self._stack = contextlib.ExitStack()
        self.switch = Machine("switch")

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.switch)
            self.lan = Lan(self.switch, self._subnet, self._first)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def machine(self, name: str) -> Machine:
        """Return a new machine on the network, without an engine."""
        machine = self._stack.enter_context(Machine(name))
        self.lan.plug(machine)
        return machine

    def engine(self, name: str) -> Engine:
        """Return a new engine, which runs, on a machine of that name."""
        engine = Engine(self.machine(name), self._home)
        if self._images:
            engine.unpack(self._images)
        engine.start()
        return engine

    def engines(self, count: int) -> list[Engine]:
        """Return new engines, named host-1 and so on."""
        return [self.engine(f"host-{number}") for number in range(1, count + 1)]


def prepared(home: Path) -> bytes:
    """Return the images of these tests as an engine keeps them, for the engines of a `Rig`."""
    with Rig(home) as rig:
        engine = rig.engine("first")
        images.load(engine)
        engine.stop()
        return engine.packed()
