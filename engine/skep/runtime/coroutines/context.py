"""What the function of a task is given: who it is, its values, and where it prints.

Data of secrets and configs stands in no repr, and is written nowhere by the engine.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

from skep.model.container import ContainerSpec
from skep.model.ids import ConfigId, SecretId
from skep.ports.executor import TaskRejected
from skep.ports.lines import Stream
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask
from skep.runtime import task_addresses
from skep.runtime.coroutines.printing import Printing

_NO_CONTAINER = ContainerSpec()


class Withheld(Mapping[str, bytes]):
    """Data by name; its repr has the names only."""

    def __init__(self, kind: str, data: Mapping[str, bytes]) -> None:
        self._kind = kind
        self._data = dict(data)

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._data[name]
        except KeyError:
            raise KeyError(f"the service has no {self._kind} {name}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._data)

    def __len__(self) -> int:
        return len(self._data)

    def __repr__(self) -> str:
        return f"<{self._kind}s {sorted(self._data)}>"


class _Handler(logging.Handler):
    """Writes a log's records to a task's stderr."""

    def __init__(self, printing: Printing) -> None:
        super().__init__()
        self._printing = printing
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._printing.write(Stream.STDERR, f"{self.format(record)}\n".encode(errors="replace"))


class TaskContext:
    """A task, to its own function. `print`, and `log` at INFO and above, may be called from any thread.

    `slot` is 0 where the service runs one task on each node. `secrets` and `configs` are found by the name of the file
    that they would be in a container, without its folders. `command` and `args` are the spec's. `addr` is a loopback
    address that no other task of this program has: who listens there shares no port with another replica. `log` is a
    logger of the task's own, which no configuration of `logging` touches.
    """

    def __init__(
        self,
        task: AssignedTask,
        *,
        secrets: Mapping[str, bytes],
        configs: Mapping[str, bytes],
        printing: Printing,
        addr: str,
    ) -> None:
        spec = task.template.spec.container_spec or _NO_CONTAINER
        self.task_id = task.id
        self.name = task.name
        self.service = task.service_name
        self.slot = max(task.slot, 0)
        self.node = task.node_hostname
        self.node_id = task.node_id
        self.image = spec.image
        self.command = spec.command
        self.args = spec.args
        self.addr = addr
        self.env: Mapping[str, str] = MappingProxyType(_environment(task, spec, addr))
        self.secrets: Mapping[str, bytes] = Withheld("secret", secrets)
        self.configs: Mapping[str, bytes] = Withheld("config", configs)
        self._printing = printing
        # made by hand: one that `getLogger` makes is kept for ever, and is the program's to configure
        self.log = logging.Logger(f"skep.{task.service_name}.{task.name_in_slot}", logging.INFO)  # noqa: LOG001 - see above
        self.log.addHandler(_Handler(printing))

    def print(self, *values: object, sep: str = " ", end: str = "\n", err: bool = False) -> None:
        """Print to the task's stdout, or with `err` to its stderr; never waits. See `drain`."""
        text = sep.join(map(str, values)) + end
        self._printing.write(Stream.STDERR if err else Stream.STDOUT, text.encode(errors="replace"))

    async def drain(self) -> None:
        """Wait until what was printed is kept: who prints more than can be kept loses lines otherwise."""
        await self._printing.drain()

    def __repr__(self) -> str:
        return f"<task {self.name}>"


def secrets_of(task: AssignedTask, secrets: Mapping[SecretId, AssignedSecret]) -> dict[str, bytes]:
    """Return the data of a task's secrets by file name.

    Raises:
        TaskRejected: one is not there, or two have one name.
    """
    found: dict[str, bytes] = {}
    for reference in (task.template.spec.container_spec or _NO_CONTAINER).secrets:
        secret = secrets.get(SecretId(reference.secret_id))
        if secret is None:
            raise TaskRejected(f"secret {reference.secret_name} ({reference.secret_id}) is not on this node")
        _add(found, reference.file.name if reference.file else reference.secret_name, secret.data)
    return found


def configs_of(task: AssignedTask, configs: Mapping[ConfigId, AssignedConfig]) -> dict[str, bytes]:
    """Return the data of a task's configs by file name; one without a file is for its runtime, and there is none.

    Raises:
        TaskRejected: one is not there, or two have one name.
    """
    found: dict[str, bytes] = {}
    for reference in (task.template.spec.container_spec or _NO_CONTAINER).configs:
        if reference.runtime is not None:
            continue
        config = configs.get(ConfigId(reference.config_id))
        if config is None:
            raise TaskRejected(f"config {reference.config_name} ({reference.config_id}) is not on this node")
        _add(found, reference.file.name if reference.file else reference.config_name, config.data)
    return found


def _add(found: dict[str, bytes], target: str, data: bytes) -> None:
    name = PurePosixPath(target).name
    if name in found:
        raise TaskRejected(f"two files of the task would have the name {name}: they are told apart by it here")
    found[name] = data


def told_addr(spec: ContainerSpec) -> str:
    """Return the address that a task was given by what stands around its executor, if by anything: a mesh."""
    told = [value for name, _, value in (said.partition("=") for said in spec.env) if name == task_addresses.VARIABLE]
    return told[-1] if told else ""


def _environment(task: AssignedTask, spec: ContainerSpec, addr: str) -> dict[str, str]:
    """Return the spec's variables, then those that every task of ours has; a name without `=` takes one away."""
    env = {"HOSTNAME": spec.hostname or task.node_hostname}
    for said in spec.env:
        name, equals, value = said.partition("=")
        if equals:
            env[name] = value
        else:
            env.pop(name, None)
    return env | {
        "SKEP_TASK_ID": task.id,
        "SKEP_TASK_NAME": task.name,
        "SKEP_TASK_SLOT": task.name_in_slot,
        "SKEP_SERVICE_NAME": task.service_name,
        "SKEP_NODE_ID": task.node_id,
        task_addresses.VARIABLE: addr,
    }
