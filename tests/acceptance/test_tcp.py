"""A daemon that is reached over TCP, by certificates."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import trustme

from tests.acceptance.daemon import Daemon


def test_a_client_with_a_certificate_drives_a_daemon_on_another_machine(daemon: Daemon) -> None:
    authority = trustme.CA()
    for name, owner in (("server", authority.issue_cert("127.0.0.1")), ("alice", authority.issue_cert("a@b.example"))):
        folder = daemon.home / name
        folder.mkdir()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        owner.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
        owner.private_key_pem.write_to_path(str(folder / "key.pem"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    server = daemon.home / "server"
    files = ("--tlscacert", server / "ca.pem", "--tlscert", server / "cert.pem", "--tlskey", server / "key.pem")
    daemon.start("-H", f"unix://{daemon.socket}", "-H", host, *map(str, files))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(daemon.home),
        "DOCKER_HOST": host,
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": str(daemon.home / "alice"),
    }

    def typed(*words: str) -> str:
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout

    docker, skep = shutil.which("docker"), shutil.which("skep", path=str(Path(sys.executable).parent))
    assert docker is not None
    assert skep is not None
    typed(docker, "swarm", "init")
    typed(docker, "service", "create", "--detach", "--replicas", "0", "--name", "web", "sh")
    assert typed(docker, "service", "ls", "--format", "{{.Name}}") == "web\n"
    assert "web is at spec 1" in typed(skep, "updates", "web")
    assert daemon.rows("service", "ls")[0]["Name"] == "web"
