"""An executor in a mesh is an executor: it passes the suite of the port, around one whose tasks are processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from skep.ports.executor import Executor
from skep.testing.executor_suite import Opened
from skep_adapters.mesh.mesh import Mesh

from tests.ports.test_executors import TestProcessExecutor as OfProcesses


class TestMeshExecutor(OfProcesses):
    mesh: Mesh | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Opened]:
        async with Mesh.open() as self.mesh, super().opened() as opened:
            yield opened

    def another(self) -> Executor:  # type: ignore[override]  # the suite asks for any executor
        plain = super().another()
        executor = self.mesh.over(lambda _name, _number: plain)("node", 1) if self.mesh is not None else plain
        assert executor is not None
        return executor
