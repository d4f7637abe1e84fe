"""What these tests need of the machine that runs them, and what its kernel lacks: tried, not looked up."""

import os
import shutil
import subprocess

from tests.engines.machine import HOLD, Machine, path

PROGRAMS = {
    "docker": "the docker client",
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "busybox": "busybox-static",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}

TUNNEL = ("ip", "link", "add", "tunnel", "type", "vxlan", "id", "7", "dstport", "4789", "local", "127.0.0.1")
#: as dockerd sets it up for an encrypted network
ESP = (
    *("ip", "xfrm", "state", "add", "src", "127.0.0.1", "dst", "127.0.0.2", "proto", "esp", "spi", "7"),
    *("mode", "transport", "aead", "rfc4106(gcm(aes))", "0x" + "17" * 20, "64"),
)


def missing() -> str:
    """Return why no engines can be started here, in a sentence; nothing if they can."""
    if os.geteuid() != 0:
        return "only root can start Docker Engines in namespaces of their own"
    absent = {package for program, package in PROGRAMS.items() if shutil.which(program, path=path()) is None}
    if absent:
        return f"tests with Docker Engines need what tests/install-tools could not get: {', '.join(sorted(absent))}"
    tried = subprocess.run([*HOLD, "true"], capture_output=True, text=True, check=False, env={"PATH": path()})
    return "" if tried.returncode == 0 else f"no namespace can be made for a Docker Engine: {tried.stderr.strip()}"


def lacks(machine: Machine) -> list[str]:
    """Return what the kernel cannot do for an overlay network, each in words; a machine is needed to try it."""
    lacking = []
    if not _done(machine, *TUNNEL):
        lacking.append("no VXLAN: no network reaches across engines")
    _done(machine, "ip", "link", "delete", "tunnel")
    _done(machine, "modprobe", "--quiet", "ip_vs")
    if not _done(machine, "test", "-e", "/proc/net/ip_vs"):
        lacking.append("no IPVS: an engine balances neither virtual addresses nor ports of the ingress network")
    if not _done(machine, *ESP):
        lacking.append("no ESP with AES-GCM: no network is encrypted")
    _done(machine, "ip", "xfrm", "state", "flush")
    return lacking


def _done(machine: Machine, *command: str) -> bool:
    """Say whether a command ends well; one that is not there does not."""
    return machine.run("sh", "-c", 'if "$@"; then echo done; fi', "try", *command).endswith("done\n")
