"""The unit that `skep systemd-unit` prints."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from skep_adapters.cli.hosts import UNIX
from skep_adapters.cli.options import UpOptions

#: Longer than the daemon takes to close its sockets, stop its tasks (10 s at most, see `ProcessExecutor.aclose`), kill
#: what goes on, and save its state.
STOP_S = 60

_UNIT = """\
# Put this at /etc/systemd/system/skep.service, then: systemctl daemon-reload && systemctl enable --now skep
[Unit]
Description=skep, Docker Swarm's control plane
Wants=network-online.target
After=network-online.target
# an error that goes away by itself (a lock, a full disk) may take its time
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
Restart=always
RestartSec=2
# recovery folds what no checkpoint covers
TimeoutStartSec=10min
# SIGTERM is for the daemon, which ends its tasks itself; what is left after that is killed
KillMode=mixed
TimeoutStopSec={stop_s}
# the cgroups below are the daemon's own, for its tasks
Delegate=yes
LimitNOFILE=65536
TasksMax=infinity

[Install]
WantedBy=multi-user.target
"""


def unit(options: UpOptions) -> str:
    """Return a unit that runs this skep with `options`."""
    return _UNIT.format(command=" ".join(map(_quoted, _command(options))), stop_s=STOP_S)


def _command(options: UpOptions) -> Iterator[str]:
    yield from _this_skep()
    yield from ("up", "--data", str(options.directory))
    for host in options.host:
        yield from ("-H", f"{UNIX}{Path(host.removeprefix(UNIX)).absolute()}" if host.startswith(UNIX) else host)
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name in ("data", "host") or value == field.default:
            continue
        for each in value if isinstance(value, tuple) else (value,):
            word = each.expanduser().absolute() if isinstance(each, Path) else each
            yield from (f"--{field.name.replace('_', '-')}", str(word))


def _this_skep() -> tuple[str, ...]:
    """Return the command that runs this installation, wherever PATH points."""
    script = Path(sys.executable).absolute().with_name("skep")
    return (str(script),) if script.exists() else (sys.executable, "-m", "skep_adapters.cli.main")


def _quoted(word: str) -> str:
    """Return `word` as systemd reads it back (systemd.service(5), "COMMAND LINES")."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or any(map(str.isspace, word)) else word
