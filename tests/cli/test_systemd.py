"""The unit, and what the daemon tells systemd."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from skep_adapters.cli.main import main

from tests.cli.conftest import Daemon


@pytest.fixture
def unit(home: Path, capsys: pytest.CaptureFixture[str]) -> str:
    words = ("--data", f"{home}/my $data", "--nodes", "3", "-H", "unix:///run/a%b.sock", "--executor", "simulated")
    words += ("--insecure-registry", "r:5000", "--insecure-registry", "s")
    assert main(["systemd-unit", *words]) == 0
    return capsys.readouterr().out


def test_the_unit_runs_this_skep_with_the_same_options(unit: str, home: Path) -> None:
    (start,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    program, _, options = start.removeprefix("ExecStart=").partition(" up ")
    assert Path(program.split()[0]).parent == Path(sys.executable).parent
    data = f'--data "{home}/my $$data"'
    registries = "--insecure-registry r:5000 --insecure-registry s"
    assert options == f'{data} -H "unix:///run/a%%b.sock" --executor simulated --nodes 3 {registries}'
    for line in ("Type=notify", "Restart=always", "KillMode=mixed", "Delegate=yes", "WantedBy=multi-user.target"):
        assert line in unit.splitlines()


def test_systemd_finds_nothing_wrong_with_the_unit(unit: str, home: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on PATH")
    path = home / "skep-test.service"
    path.write_text(unit)
    done = subprocess.run([analyze, "verify", str(path)], capture_output=True, text=True, check=False)
    about_us = [line for line in (done.stdout + done.stderr).splitlines() if path.name in line]
    assert about_us == []
    assert done.returncode == 0, done.stderr


def test_systemd_is_told_when_the_daemon_is_ready_and_when_it_stops(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.settimeout(30)
        told.bind(f"\0skep-test-{os.getpid()}")
        daemon.environment = {"NOTIFY_SOCKET": f"@skep-test-{os.getpid()}"}
        daemon.start("--executor", "simulated")
        assert told.recv(100) == b"READY=1"
        assert daemon.end() == 0
        assert told.recv(100) == b"STOPPING=1"
