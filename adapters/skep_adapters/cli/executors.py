"""Which executor each node of this process has."""

from collections.abc import Callable, Sequence
from pathlib import Path

from skep.model.service import ServiceSpec
from skep.ports.executor import Executor
from skep.runtime.engine import ExecutorFactory

from skep_adapters.cli.options import UpOptions


def executor_factory(options: UpOptions, engine: Path | None) -> ExecutorFactory:
    """Return what makes the executor of a node, by its name; with an `engine`, Docker's own, it is outside.

    Raises:
        CatalogError: the catalogue cannot be used.
    """
    if engine is not None:
        return lambda _name, _number: None
    return _simulated() if options.executor == "simulated" else _processes(options.directory / "nodes", options.catalog)


def unsupported(options: UpOptions, engine: Path | None) -> Callable[[ServiceSpec], Sequence[str]] | None:
    """Return what names the fields of a service's spec that its tasks would do without; None if there are none."""
    if options.executor == "simulated" or engine is not None:
        return None
    from skep_adapters.process.recipe import fields_without_effect  # noqa: PLC0415 - only this kind needs it

    return lambda spec: tuple(fields_without_effect(spec.template))


def _processes(directory: Path, catalogue: Path | None) -> ExecutorFactory:
    from skep.runtime.task_addresses import TaskAddresses  # noqa: PLC0415 - only this kind needs it

    from skep_adapters.process.catalog import Catalog  # noqa: PLC0415 - only this kind needs it
    from skep_adapters.process.executor import ProcessExecutor  # noqa: PLC0415 - likewise

    addresses = TaskAddresses()
    catalog = Catalog.load(catalogue) if catalogue is not None else None

    def make(name: str, _number: int) -> Executor:
        return ProcessExecutor(directory / name, catalog=catalog, hostname=name, addresses=addresses)

    return make


def _simulated() -> ExecutorFactory:
    from skep.runtime.simulated import SimulatedExecutor, describe_node  # noqa: PLC0415 - only this kind needs it
    from skep.runtime.sources import SystemClock  # noqa: PLC0415 - likewise

    clock = SystemClock()

    def make(name: str, _number: int) -> Executor:
        return SimulatedExecutor(clock=clock, description=describe_node(name))

    return make
