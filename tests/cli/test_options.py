"""Values that cannot be are refused before anything is opened, by name and value; what is light stays so."""

import subprocess
import sys

import pytest
from skep_adapters.cli.main import main

HEAVY = ("aiohttp", "aiosqlite", "anyio", "asyncio", "cryptography", "msgspec", "skep", "structlog")

REFUSED = [
    (("up", "--nodes", "many"), "--nodes", '"many"'),
    (("up", "--nodes", "0"), "--nodes 0", "from 1"),
    (("up", "--executor", "vm"), "--executor", '"vm"'),
    (("up", "--bogus"), "--bogus", "Unknown"),
    (("up", "-H", "tcp://0.0.0.0:2375"), "--host tcp://0.0.0.0:2375", "everybody who reaches it"),
    (("up", "-H", "unix:///tmp/a.sock", "-H", "tcp://h"), "tcp://h", "must be tcp://ADDRESS:PORT"),
    (("up", "-H", "tcp://127.0.0.1:65536"), "tcp://127.0.0.1:65536", "must be tcp://ADDRESS:PORT"),
    (("up", "-H", "tcp://::1:2375"), "tcp://::1:2375", "an IPv6 address in brackets"),
    (("up", "-H", "tcp://[127.0.0.1]:2375"), "tcp://[127.0.0.1]:2375", "an IPv6 address in brackets"),
    (("up", "-H", "tcp://:2376", "--tlscert", "c"), "tcp://:2376", "must be tcp://ADDRESS:PORT"),
    (("up", "-H", "tcp://0.0.0.0:1", "--tlscert", "c"), "--tlscert c", "needs --tlscacert and --tlskey as well"),
    (("up", "--tlscacert", "a", "--tlscert", "c", "--tlskey", "k"), "--tlscacert a", "is for TCP"),
    (("up", "-H", "/run/skep.sock"), "'/run/skep.sock'", "unix://PATH"),
    (("up", "-H", "unix://"), "--host unix://", "names no file"),
    (("up", "-H", f"unix:///{'x' * 107}"), "may have 107 bytes", "has 108"),
    (("up", "--data", f"/{'x' * 120}"), "may have 107 bytes", "has 131"),
    (("up", "-H", "http://localhost"), "--host http://localhost", "unknown scheme http://; must be unix://PATH or"),
    (("up", "--advertise-addr", "eth0"), "--advertise-addr", "'eth0'"),
    (("up", "--advertise-addr", "10.0.0.1:2377"), "--advertise-addr", "without a port"),
    (("up", "--listen-addr", "here"), "--listen-addr 'here'", "must be HOST:PORT"),
    (("up", "--listen-addr", "127.0.0.1:65536"), "--listen-addr '127.0.0.1:65536'", "65535 at most"),
    (
        ("up", "--insecure-registry", "http://r:5000"),
        "--insecure-registry 'http://r:5000'",
        "must be HOST or HOST:PORT",
    ),
    (("up", "--insecure-registry", "r:65536"), "--insecure-registry 'r:65536'", "65535 at most"),
    (("up", "--insecure-registry", "r", "--insecure-registry", "r/x"), "--insecure-registry 'r/x'", "HOST"),
    (("up", "--engine", "tcp://1.2.3.4:1"), "--engine 'tcp://1.2.3.4:1'", "must be unix://PATH"),
    (("up", "--engine", "unix:///none.sock"), "--engine unix:///none.sock", "no Docker Engine answers there"),
    (("up", "--engine", "unix:///none.sock", "--nodes", "2"), "--engine unix:///none.sock", "one engine is one node"),
    (("up", "--api-max", "1.99"), "--api-max", "'1.99'"),
    (("up", "--api-max", "new"), "--api-max", "'new'"),
    (("up", "--executor", "simulated", "--catalog", "c.toml"), "--catalog c.toml", "process"),
    (("systemd-unit", "-H", "tcp://h"), "tcp://h", "must be tcp://ADDRESS:PORT"),
    (("verify", "--data", "/nonexistent"), "--data /nonexistent", "no swarm"),
    (("fly",), '"fly"', "Unknown command"),
]


@pytest.mark.parametrize(("words", "named", "why"), REFUSED, ids=[" ".join(words)[:40] for words, _, _ in REFUSED])
def test_a_value_that_cannot_be_is_refused_in_one_sentence(
    words: tuple[str, ...], named: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("skep: ")
    assert said.err.count("\n") == 1
    assert named in said.err
    assert why in said.err


def test_help_imports_nothing_heavy() -> None:
    words = f"import sys; from skep_adapters.cli.main import main; main(['--help']); heavy = {HEAVY}; "
    words += "print([name for name in heavy if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "systemd-unit" in done.stdout


def test_version_is_that_of_the_installed_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == "skep 0.1.0\n"
