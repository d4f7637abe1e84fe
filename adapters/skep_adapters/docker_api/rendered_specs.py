"""Specs of services as they were written last: a list is asked for again and again, and of most nothing has changed.

A spec is a frozen value, so what was written of it stays true for as long as it is the same object.
"""

from typing import Any

import msgspec
from skep.model.service import ServiceSpec

from skep_adapters.docker_api.render import render

#: More are forgotten all at once. One takes about a kilobyte.
KEPT_MAX = 8_192

_encode = msgspec.json.Encoder().encode


class RenderedSpecs:
    """Writes specs, and remembers those that it has written."""

    def __init__(self) -> None:
        #: by what they are in memory, with the spec itself: so nothing else can come to be there
        self._kept: dict[int, tuple[ServiceSpec, msgspec.Raw]] = {}

    def __call__(self, spec: ServiceSpec) -> Any:
        """Return `spec` as a part of an answer in JSON."""
        known = self._kept.get(id(spec))
        if known is not None:
            return known[1]
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        written = msgspec.Raw(_encode(render(spec)))
        self._kept[id(spec)] = (spec, written)
        return written
