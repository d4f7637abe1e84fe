"""What tasks printed: `GET /services/{id}/logs` and `GET /tasks/{id}/logs`.

`until` is not read, as Swarm does not (recorded in scenario 20). `details` shows whose line it is, and the labels and
variables that a log driver adds.
"""

import re
from contextlib import suppress
from operator import itemgetter
from urllib.parse import quote_plus

from aiohttp import web
from skep.core.lookup import find_service, find_task
from skep.core.state import ClusterState
from skep.model.ids import Instant
from skep.ports.link import LineOptions, LineSelector, PublishedLine

from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.connections import connection_of
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.http_request import UNTYPED
from skep_adapters.docker_api.stream import closed_after, frame, while_there
from skep_adapters.docker_api.times import parse_timestamp, rfc3339_fixed

#: How lines are told apart from API 1.42 on; before, nothing is said (recorded).
_RAW = "application/vnd.docker.raw-stream"
_MULTIPLEXED = "application/vnd.docker.multiplexed-stream"

_COUNT = re.compile(r"[+-]?[0-9]{1,18}")


async def service_lines(call: Call) -> web.StreamResponse:
    """Stream what the tasks of a service printed, and print."""
    _check_streams(call)

    def ask(state: ClusterState) -> tuple[LineSelector, bool]:
        service = find_service(state, call.ref)
        return LineSelector(service_ids=(service.id,)), service.spec.container.tty

    return await _lines(call, *await call.read(ask))


async def task_lines(call: Call) -> web.StreamResponse:
    """Stream what a task printed, and prints."""
    _check_streams(call)

    def ask(state: ClusterState) -> tuple[LineSelector, bool]:
        task = find_task(state, call.ref)
        container = state.template_of(task).spec.container_spec
        return LineSelector(task_ids=(task.id,)), container is not None and container.tty

    return await _lines(call, *await call.read(ask))


async def _lines(call: Call, selector: LineSelector, tty: bool) -> web.StreamResponse:
    options = _options(call)
    typed = not call.before("1.42")
    call.request[UNTYPED] = not typed
    with connection_of(call.request).streaming():
        response = web.StreamResponse(headers={"Content-Type": _RAW if tty else _MULTIPLEXED} if typed else None)
        await response.prepare(call.request)
        await while_there(call, _send(call, response, selector, options, tty=tty))
        with suppress(ConnectionResetError):
            await response.write_eof()
    return response


async def _send(
    call: Call, response: web.StreamResponse, selector: LineSelector, options: LineOptions, *, tty: bool
) -> None:
    timestamps, details = call.lenient("timestamps"), call.lenient("details")
    async with closed_after(call.cluster.lines(selector, options)) as lines:
        async for published in lines:
            text = _text(published, timestamps=timestamps, details=details)
            await response.write(text if tty else frame(published.line.stream, text))


def _text(published: PublishedLine, *, timestamps: bool, details: bool) -> bytes:
    line = published.line
    before = f"{rfc3339_fixed(line.at)} " if timestamps else ""
    if details:
        before += f"{_details(published)} "
    return before.encode() + line.data


def _details(published: PublishedLine) -> str:
    """Return the details of a line in order of their names, quoted as in a query."""
    whose = (
        ("com.docker.swarm.node.id", published.node_id),
        ("com.docker.swarm.service.id", published.service_id),
        ("com.docker.swarm.task.id", published.task_id),
    )
    pairs = sorted((*published.details, *whose), key=itemgetter(0))
    return ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)


def _check_streams(call: Call) -> None:
    """Refuse who wants nothing, before anything is looked up."""
    if not call.lenient("stdout") and not call.lenient("stderr"):
        raise ApiError(500, "Bad parameters: you must choose at least one stream")


def _options(call: Call) -> LineOptions:
    return LineOptions(
        follow=call.lenient("follow"),
        tail=_tail(call.param("tail")),
        since=_since(call.param("since")),
        stdout=call.lenient("stdout"),
        stderr=call.lenient("stderr"),
    )


def _tail(text: str) -> int | None:
    if text in ("", "all"):
        return None
    if not _COUNT.fullmatch(text):
        raise ApiError(500, 'tail value must be a positive integer or "all"')
    if int(text) < 0:
        raise ApiError(500, "negative tail values not supported")
    return int(text)


def _since(text: str) -> Instant:
    if not text:
        return Instant(0)
    try:
        return parse_timestamp(text)
    except ValueError as error:
        raise ApiError(500, f"could not parse since timestamp: {error}") from None
