"""How the daemon is told to end: in order by SIGTERM, SIGINT or a lost terminal, at once by a second SIGINT."""

import os
import signal

import anyio
import structlog
from anyio.abc import TaskStatus

from skep_adapters.cli.sd_notify import notify

#: What a shell says of SIGINT.
FORCED = 130

_log = structlog.get_logger("skep.daemon")


async def stop_on_signals(
    work: anyio.CancelScope, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Cancel `work` at the first signal; started once signals are caught. Runs until cancelled.

    The second SIGINT ends the process where it stands: what was answered is durable, and no task outlives us.
    """
    # nohup(1) asks that a hang-up be ignored
    hang_up = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *hang_up) as signals:
        task_status.started()
        async for number in signals:
            if not work.cancel_called:
                notify("STOPPING=1")
                _log.info("daemon.stopping", signal=signal.Signals(number).name)
                work.cancel()
            elif number == signal.SIGINT:
                os._exit(FORCED)
