"""Which executor each node of this process has."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from skep.model.service import ServiceSpec
from skep.ports.executor import Executor
from skep.runtime.engine import ExecutorFactory
from skep.runtime.swarm import split_addr

from skep_adapters.cli.options import UpOptions
from skep_adapters.cli.own_address import own_address

if TYPE_CHECKING:
    from skep_adapters.process.volumes import DirectoryVolumes


def volumes(options: UpOptions, engine: Path | None) -> "DirectoryVolumes | None":
    """Return the volumes of this machine's processes, which all nodes in this process share; None if there are none."""
    if options.executor == "simulated" or engine is not None:
        return None
    from skep_adapters.process.volumes import DirectoryVolumes  # noqa: PLC0415 - only this kind needs it

    return DirectoryVolumes(options.directory / "volumes")


@asynccontextmanager
async def opened_executors(
    options: UpOptions, engine: Path | None, shared: "DirectoryVolumes | None"
) -> AsyncIterator[ExecutorFactory]:
    """Open what makes the executor of a node, by its name; with an `engine`, Docker's own, it is outside.

    `shared` are the volumes of processes.

    Raises:
        CatalogError: the catalogue cannot be used.
    """
    if engine is not None:
        yield lambda _name, _number: None
    elif options.executor == "simulated":
        yield _simulated()
    else:
        async with _processes(options, shared) as factory:
            yield factory


def unsupported(options: UpOptions, engine: Path | None) -> Callable[[ServiceSpec], Sequence[str]] | None:
    """Return what names the fields of a service's spec that its tasks would do without; None if there are none."""
    if options.executor == "simulated" or engine is not None:
        return None
    from skep_adapters.process.cgroups import find_hierarchies, limits_of  # noqa: PLC0415 - only this kind needs it
    from skep_adapters.process.recipe import fields_without_effect  # noqa: PLC0415 - likewise

    limits = limits_of(find_hierarchies())
    return lambda spec: tuple(fields_without_effect(spec.template, limits))


@asynccontextmanager
async def _processes(options: UpOptions, shared: "DirectoryVolumes | None") -> AsyncIterator[ExecutorFactory]:
    """Open the mesh in which the tasks of all nodes are; its ports are published where others reach this machine."""
    from skep_adapters.mesh.mesh import LOOPBACK, Mesh  # noqa: PLC0415 - only this kind needs it
    from skep_adapters.process.catalog import Catalog  # noqa: PLC0415 - likewise
    from skep_adapters.process.executor import ProcessExecutor  # noqa: PLC0415 - likewise

    catalog = Catalog.load(options.catalog) if options.catalog is not None else None
    host, _ = split_addr(options.advertise_addr or own_address())
    async with Mesh.open((LOOPBACK, host)) as mesh:

        def make(name: str, _number: int) -> Executor:
            state_dir = options.directory / "nodes" / name
            return ProcessExecutor(state_dir, catalog=catalog, hostname=name, addresses=mesh.addresses, volumes=shared)

        yield mesh.over(make)


def _simulated() -> ExecutorFactory:
    from skep.runtime.simulated import SimulatedExecutor, describe_node  # noqa: PLC0415 - only this kind needs it
    from skep.runtime.sources import SystemClock  # noqa: PLC0415 - likewise

    clock = SystemClock()

    def make(name: str, _number: int) -> Executor:
        return SimulatedExecutor(clock=clock, description=describe_node(name))

    return make
