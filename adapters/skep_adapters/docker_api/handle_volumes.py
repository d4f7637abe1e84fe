"""What is asked of volumes where no Docker Engine has them: those of this machine, which tasks are given by name.

As Docker's, they are one machine's and not the swarm's, and are there without a swarm too.
"""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from skep.model.ids import NANOSECONDS
from skep.ports.volumes import ANONYMOUS, NoSuchVolume, Volume, VolumeInUse, VolumeRefused, Volumes

from skep_adapters.docker_api import filters as known
from skep_adapters.docker_api.answers import empty_answer, json_answer
from skep_adapters.docker_api.bodies import VolumeBody
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import ApiError, bad_request, not_implemented
from skep_adapters.docker_api.filters import Filters

_TRUE, _FALSE = ("1", "true"), ("0", "false")

#: From this version on, those that somebody named are pruned only where `all` is asked for.
_NAMED_STAY = "1.42"


async def list_volumes(call: Call) -> web.StreamResponse:
    """Answer the volumes that the filters want, by name."""
    filters = call.filters(status=400)
    filters.check(known.VOLUME)
    for word in filters.get("dangling"):
        if word not in (*_TRUE, *_FALSE):
            raise bad_request(f"invalid filter 'dangling=[{word}]'")
    found = [_rendered(volume) for volume in await _volumes(call).all() if _fits(filters, volume)]
    return json_answer({"Volumes": found, "Warnings": None})


async def create(call: Call) -> web.StreamResponse:
    """Make a volume, or answer the one of that name."""
    volumes = _volumes(call)
    body = await call.body(VolumeBody)
    if body.driver not in ("", "local"):
        raise ApiError(404, f'error looking up volume plugin {body.driver}: plugin "{body.driver}" not found')
    if body.driver_opts or body.cluster_volume_spec is not None:
        raise not_implemented("options of volumes: each is a directory")
    try:
        volume = await volumes.create(body.name, body.labels or {})
    except VolumeRefused as refused:
        raise bad_request(str(refused)) from None
    return json_answer(_rendered(volume), status=201)


async def inspect(call: Call) -> web.StreamResponse:
    """Answer one volume; none is known by the beginning of its name."""
    if call.volumes is None:
        # and not 501: `docker inspect NAME` asks for every kind in turn
        raise ApiError(404, f"get {call.ref}: no such volume")
    try:
        return json_answer(_rendered(await call.volumes.find(call.ref)))
    except NoSuchVolume as unknown:
        raise ApiError(404, str(unknown)) from None


async def remove(call: Call) -> web.StreamResponse:
    """Remove a volume that no task uses."""
    force = call.lenient("force")
    try:
        await _volumes(call).remove(call.ref)
    except NoSuchVolume as unknown:
        if not force:
            raise ApiError(404, str(unknown)) from None
    except VolumeInUse as used:
        raise ApiError(409, str(used)) from None
    return empty_answer(status=204)


async def prune(call: Call) -> web.StreamResponse:
    """Remove what no task uses: the anonymous volumes, or all."""
    volumes = _volumes(call)
    filters = call.filters(status=400)
    filters.check(known.PRUNED_VOLUME)
    everything = call.before(_NAMED_STAY) or any(word in _TRUE for word in filters.get("all"))
    removed, reclaimed = [], 0
    for volume in await volumes.all():
        if volume.users or not (everything or ANONYMOUS in volume.labels) or not _has_labels(filters, volume):
            continue
        size = await volumes.size(volume.name)
        try:
            await volumes.remove(volume.name)
        except (NoSuchVolume, VolumeInUse):
            continue  # somebody was faster
        removed.append(volume.name)
        reclaimed += size
    return json_answer({"VolumesDeleted": removed or None, "SpaceReclaimed": reclaimed})


def _volumes(call: Call) -> Volumes:
    if call.volumes is None:
        raise not_implemented("volumes where tasks are simulated")
    return call.volumes


def _fits(filters: Filters, volume: Volume) -> bool:
    names = filters.get("name")
    dangling = filters.get("dangling")
    return (
        (not names or any(part in volume.name for part in names))
        and filters.exact("driver", "local")
        and filters.labels("label", volume.labels)
        and (not dangling or any(word in (_FALSE if volume.users else _TRUE) for word in dangling))
    )


def _has_labels(filters: Filters, volume: Volume) -> bool:
    unwanted = "label!" in filters and filters.labels("label!", volume.labels)
    return filters.labels("label", volume.labels) and not unwanted


def _rendered(volume: Volume) -> dict[str, Any]:
    made = datetime.fromtimestamp(volume.created_at // NANOSECONDS, UTC)
    return {
        "CreatedAt": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Driver": "local",
        "Labels": volume.labels or None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }
