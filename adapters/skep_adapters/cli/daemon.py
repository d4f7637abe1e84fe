"""`skep up`: the daemon. Storage, cluster and sockets, opened in that order and closed in the reverse one.

| what happens | what follows |
|---|---|
| SIGTERM, SIGINT, SIGHUP | sockets close, tasks get their stop signal and end, the state is saved, exit code 0 |
| a second SIGINT | exit code 130 at once; the tasks' supervisors see it and end them |
| the engine fails | everything ends as above; one sentence, exit code 1 |
"""

import gc
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import structlog
from skep.ports.lines import LineStore
from skep.runtime.cluster import Cluster
from skep.version import VERSION

from skep_adapters.cli import program_log
from skep_adapters.cli.executors import opened_executors, unsupported, volumes
from skep_adapters.cli.failures import is_bug
from skep_adapters.cli.greeting import greet
from skep_adapters.cli.local_engine import LocalEngine, find
from skep_adapters.cli.options import UpOptions
from skep_adapters.cli.own_address import own_address
from skep_adapters.cli.sd_notify import notify
from skep_adapters.cli.stopping import stop_on_signals
from skep_adapters.cli.vacancy import check_vacant
from skep_adapters.docker_api import Certificates, DockerApi
from skep_adapters.registry import RegistryClient
from skep_adapters.sqlite.files import make_directory
from skep_adapters.sqlite.lock import ProcessLock
from skep_adapters.sqlite.storage import SqliteStorage
from skep_adapters.swarmkit.server import WorkerPort

#: A task of a local process takes a handful of files, and 1,024 is the usual soft limit. Tasks inherit it, so it is
#: not the hard limit, which may be a billion: programs that close "all" files would take minutes.
OPEN_FILES = 65_536

#: What the state keeps is no garbage, and a tenth of Python's rate is often enough to look for what is. At that rate
#: it took a quarter of the time in which ten thousand tasks begin, and held the loop longest (benchmarks/converge.py).
GC_THRESHOLDS = (50_000, 20, 100)

#: An engine that lost its manager comes back within eight seconds.
READY_TIMEOUT_S = 10.0

_log = structlog.get_logger("skep.daemon")


def run(options: UpOptions) -> int:
    """Run the daemon; return its exit code. Raises environment errors as they come: `failures.told` knows them."""
    program_log.set_up()
    _raise_open_files()
    try:
        anyio.run(_serve, options)
    except Exception as error:
        if is_bug(error):
            _log.error("daemon.bug", exc_info=error)
        raise
    return 0


async def _serve(options: UpOptions) -> None:
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as work:
            await group.start(stop_on_signals, work)
            local = find(options)
            async with _opened(options, local) as cluster:
                # nothing that recovery made is garbage, and looking through it takes long
                gc.collect()
                gc.freeze()
                gc.set_threshold(*GC_THRESHOLDS)
                greet(options, cluster, local)
                notify("READY=1")
                await anyio.sleep_forever()
        group.cancel_scope.cancel()
    _log.info("daemon.stopped")


@asynccontextmanager
async def _opened(options: UpOptions, local: Path | None) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        shared = volumes(options, local)
        executor = await stack.enter_async_context(opened_executors(options, local, shared))
        # what is refused leaves nothing behind: only a socket in the data directory is looked at when that is there
        check_vacant([path for path in options.sockets if not path.is_relative_to(options.directory)])
        make_directory(options.directory)
        lock = ProcessLock.acquire(options.directory / "lock")  # before there is a swarm, nobody else holds it
        stack.callback(lock.release)
        check_vacant(options.sockets)
        storage = SqliteStorage(options.directory)
        lines = storage.lines()
        stack.push_async_callback(_close, lines)
        cluster = await stack.enter_async_context(
            Cluster.open(
                storage=storage,
                executor=executor,
                lines=lines,
                nodes=options.node_names,
                advertise_addr=options.advertise_addr or own_address(),
                init=False,
                gate=WorkerPort(options.listen_addr, LocalEngine(local) if local is not None else None),
            )
        )
        api = DockerApi(
            cluster,
            api_max=options.api_max,
            unsupported=unsupported(options, local),
            engine=local,
            registry=RegistryClient(insecure=options.insecure_registry),
            volumes=shared,
        )
        if local is not None and cluster.active:
            # as dockerd does: who asks when we are there again is not told of a node that nobody has heard yet
            await cluster.ready(cluster.node_id, timeout_s=READY_TIMEOUT_S)
        for path in options.sockets:
            await stack.enter_async_context(api.serve_unix(path))
        certificates = Certificates(*options.tls) if options.tls is not None else None
        for host in options.tcp_hosts:
            await stack.enter_async_context(api.serve_tcp(host.host, host.port, certificates))
        listening = [str(each) for each in (*options.sockets, *options.tcp_hosts)]
        _log.info("daemon.ready", version=VERSION, listening=listening)
        yield cluster


async def _close(lines: LineStore) -> None:
    """Close `lines` although we were told to end, which cancels whatever waits: an open file would keep the process."""
    with anyio.CancelScope(shield=True):
        await lines.aclose()


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
