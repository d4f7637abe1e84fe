"""Mounts of a container."""

import msgspec
from skep.model.container import BindOptions, Mount, TmpfsOptions, VolumeOptions

from skep_adapters.swarmkit.numbers import int64, uint32
from skep_adapters.swarmkit.render_driver import render_driver
from skep_adapters.swarmkit.wire import types_pb2


def render_mount(mount: Mount) -> types_pb2.Mount:
    """Return a mount; a word that the protocol lacks counts as not said."""
    return types_pb2.Mount(
        type=_known(types_pb2.Mount.Type.keys(), mount.type, "BIND"),
        source=mount.source,
        target=mount.target,
        readonly=mount.read_only,
        consistency=_known(types_pb2.Mount.Consistency.keys(), mount.consistency, "DEFAULT"),
        bind_options=_bind(mount.bind_options) if mount.bind_options is not None else None,
        volume_options=_volume(mount.volume_options) if mount.volume_options is not None else None,
        tmpfs_options=_tmpfs(mount.tmpfs_options) if mount.tmpfs_options is not None else None,
    )


def _bind(options: BindOptions) -> types_pb2.Mount.BindOptions:
    return types_pb2.Mount.BindOptions(
        propagation=_known(types_pb2.Mount.BindOptions.Propagation.keys(), options.propagation, "RPRIVATE"),
        nonrecursive=options.non_recursive,
        createmountpoint=options.create_mountpoint,
        readonlynonrecursive=options.read_only_non_recursive,
        readonlyforcerecursive=options.read_only_force_recursive,
    )


def _volume(options: VolumeOptions) -> types_pb2.Mount.VolumeOptions:
    return types_pb2.Mount.VolumeOptions(
        nocopy=options.no_copy,
        labels=options.labels,
        driver_config=render_driver(options.driver_config),
        subpath=options.subpath,
    )


def _tmpfs(options: TmpfsOptions) -> types_pb2.Mount.TmpfsOptions:
    """Return options of a tmpfs; those of the file system itself go as JSON, which older engines pass over."""
    return types_pb2.Mount.TmpfsOptions(
        size_bytes=int64(options.size_bytes),
        mode=uint32(options.mode),
        options=msgspec.json.encode(options.options).decode() if options.options else "",
    )


def _known(names: list[str], word: str, default: str) -> str:
    return word.upper() if word.upper() in names else default
