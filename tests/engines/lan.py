"""A network that machines are plugged into: a switch on a machine of its own, so nothing outside sees it."""

import subprocess

from tests.engines.machine import Machine, path

#: The same for every run: no two networks ever meet.
SUBNET = "10.77.0"
PREFIX = 24


class Lan:
    """A switch, and the cables to its machines."""

    def __init__(self, switch: Machine, subnet: str = SUBNET, first: int = 1) -> None:
        self._switch = switch
        self._subnet = subnet
        self._first = first
        self._plugged: list[Machine] = []
        switch.run("ip", "link", "add", "br0", "type", "bridge")
        switch.run("ip", "link", "set", "br0", "up")

    def plug(self, machine: Machine) -> None:
        """Connect a machine, and give it an address: the first has 10.77.0.1, if nothing else was said."""
        number = len(self._plugged) + self._first
        machine.address = f"{self._subnet}.{number}"
        # the peer's namespace is named by a number that only means something outside of the switch
        words = [
            "nsenter",
            f"--net=/proc/{self._switch.pid}/ns/net",
            "ip",
            "link",
            "add",
            f"port{number}",
            "type",
            "veth",
        ]
        words += ["peer", "name", "eth0", "netns", str(machine.pid)]
        subprocess.run(words, check=True, env={"PATH": path()})
        self._switch.run("ip", "link", "set", f"port{number}", "master", "br0", "up")
        machine.run("ip", "address", "add", f"{machine.address}/{PREFIX}", "dev", "eth0")
        machine.run("ip", "link", "set", "eth0", "up")
        self._plugged.append(machine)

    def cut(self, machine: Machine) -> None:
        """Pull its cable at the switch: it keeps its address, and reaches nobody."""
        self._switch.run("ip", "link", "set", self._port(machine), "down")

    def repair(self, machine: Machine) -> None:
        """Put its cable back."""
        self._switch.run("ip", "link", "set", self._port(machine), "up")

    def _port(self, machine: Machine) -> str:
        return f"port{self._plugged.index(machine) + 1}"
