"""Answers: JSON as Go sends it, in one piece or, for long lists, in slices.

A long list is rendered and sent piece by piece, so that no request holds the loop for long (design, rule 13).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
from aiohttp import web

T = TypeVar("T")

#: So many objects are rendered at a time: a few milliseconds.
SLICE_OBJECTS = 500

#: So many are looked at at a time when a list is filtered or ordered.
SLICE_LOOKS = 10_000

JSON = "application/json"

_encode = msgspec.json.Encoder().encode


def json_answer(value: Any, *, status: int = 200) -> web.Response:
    """Return `value` as JSON, with Go's newline at the end."""
    return web.Response(body=_encode(value) + b"\n", status=status, content_type=JSON)


def error_answer(message: str, status: int) -> web.Response:
    """Return an error as the API tells it."""
    return json_answer({"message": message}, status=status)


def empty_answer(*, status: int = 200) -> web.Response:
    """Return an answer without a body."""
    return web.Response(status=status)


async def list_answer(request: web.BaseRequest, objects: Sequence[T], render: Callable[[T], Any]) -> web.StreamResponse:
    """Return a list of rendered objects; a long one is sent in slices."""
    if len(objects) <= SLICE_OBJECTS:
        return json_answer([render(one) for one in objects])
    response = web.StreamResponse(headers={"Content-Type": JSON})
    await response.prepare(request)
    opening = b"["
    for some in sliced(objects, SLICE_OBJECTS):
        await response.write(opening + _encode([render(one) for one in some])[1:-1])
        await asyncio.sleep(0)
        opening = b","
    await response.write(b"]\n")
    await response.write_eof()
    return response


async def chosen(objects: Sequence[T], fits: Callable[[T], bool], order: Callable[[T], str]) -> list[T]:
    """Return the objects that fit, in order; gives way to others between slices."""
    found: list[T] = []
    for some in sliced(objects, SLICE_LOOKS):
        found += [one for one in some if fits(one)]
        await asyncio.sleep(0)
    if len(found) <= SLICE_LOOKS:
        return sorted(found, key=order)
    return await _in_order(found, order)


async def _in_order(objects: Iterable[T], order: Callable[[T], str]) -> list[T]:
    """Sort by the first two characters, then each of those piles: ids are spread evenly over them."""
    piles: dict[str, list[T]] = {}
    for one in objects:
        piles.setdefault(order(one)[:2], []).append(one)
    ordered: list[T] = []
    for key in sorted(piles):
        ordered += sorted(piles[key], key=order)
        await asyncio.sleep(0)
    return ordered


def sliced(objects: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield `objects` in pieces of at most `size`."""
    return (objects[start : start + size] for start in range(0, len(objects), size))
