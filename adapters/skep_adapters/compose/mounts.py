"""The volumes of a service, as the engine mounts them."""

from collections.abc import Mapping, Sequence
from typing import Any

from skep.model.container import BindOptions, Driver, Mount, TmpfsOptions, VolumeOptions

from skep_adapters.compose.naming import is_external, labelled, scoped
from skep_adapters.compose.place import Place

#: Which options each type of mount may have.
_OPTIONS = {
    "volume": ("volume",),
    "bind": ("bind",),
    "tmpfs": ("tmpfs",),
    "npipe": ("bind",),
    "image": ("image",),
    "cluster": ("cluster",),
}

#: A volume of a cluster's group is nobody's in particular, and not the stack's.
_GROUP = "group:"


def mounts_of(
    stack: str, volumes: Sequence[dict[str, Any]], known: Mapping[str, Any], place: Place
) -> tuple[Mount, ...]:
    """Return the mounts of a service; `known` are the volumes of its file."""
    return tuple(_mount(stack, one, known, place.at(index)) for index, one in enumerate(volumes))


def _mount(stack: str, said: dict[str, Any], known: Mapping[str, Any], place: Place) -> Mount:
    kind = said.get("type") or "volume"
    _check(said, kind, place)
    source = said.get("source", "")
    mount = {
        "type": said.get("type", ""),
        "source": source,
        "target": said.get("target", ""),
        "read_only": said.get("read_only", False),
        "consistency": said.get("consistency", ""),
    }
    if kind == "volume" and source:
        mount |= _volume(stack, said, _known(source, known, place), source)
    elif kind == "cluster":
        mount["cluster_options"] = {}
        if not source.startswith(_GROUP):
            mount["source"] = scoped(stack, source, _known(source, known, place))
    elif "bind" in said:
        mount["bind_options"] = BindOptions(propagation=said["bind"].get("propagation", ""))
    elif "tmpfs" in said:
        mount["tmpfs_options"] = TmpfsOptions(size_bytes=said["tmpfs"].get("size", 0))
    elif "image" in said:
        path = said["image"].get("subpath", "")
        mount["image_options"] = {"Subpath": path} if path else {}
    return Mount(**mount)


def _check(said: dict[str, Any], kind: str, place: Place) -> None:
    """Refuse what no mount of this kind has, and one that lacks what each has."""
    if kind not in _OPTIONS:
        place.at("type").refuse_value(kind, " or ".join(_OPTIONS))
    for options in ("volume", "bind", "tmpfs", "image", "cluster"):
        if options in said and options not in _OPTIONS[kind]:
            place.at(options).refuse(f"are options that no {kind} has")
    source = said.get("source", "")
    if kind == "tmpfs" and source:
        place.at("source").refuse_value(source, "left out: a tmpfs has none")
    if kind not in ("tmpfs", "volume") and not source:
        place.refuse(f"needs a source, as every {kind} does")


def _known(source: str, known: Mapping[str, Any], place: Place) -> Mapping[str, Any]:
    if source not in known:
        place.refuse(f"volume {source!r} is not among the file's volumes")
    volume: Mapping[str, Any] = known[source]
    return volume


def _volume(stack: str, said: dict[str, Any], volume: Mapping[str, Any], source: str) -> dict[str, Any]:
    options = said.get("volume", {})
    driver = None
    labels: dict[str, str] = {}
    if not is_external(volume):
        labels = labelled(stack, volume.get("labels"))
        if volume.get("driver") or "driver_opts" in volume:
            driver = Driver(volume.get("driver", ""), volume.get("driver_opts", {}))
    return {
        "source": scoped(stack, source, volume),
        "volume_options": VolumeOptions(
            no_copy=options.get("nocopy", False),
            labels=labels,
            subpath=options.get("subpath", ""),
            driver_config=driver,
        ),
    }
