"""Published ports and names on the real daemon: what a newcomer types, and what then answers."""

import contextlib
import http.client
import json
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator

from tests.acceptance.daemon import Daemon, eventually

WEB = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = (os.environ['SKEP_TASK_NAME'] + ' ' + os.environ.get('RELEASE', '')).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((os.environ['SKEP_TASK_ADDR'], 3000), Handler).serve_forever()
"""

RESOLVE = """
import os, time
import dns.resolver
host, _, port = os.environ['SKEP_DNS'].partition(':')
resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers, resolver.port = [host], int(port)
for name in ('web', 'tasks.web', 'shop', 'other'):
    try:
        print(name, len(resolver.resolve(name)), flush=True)
    except dns.resolver.NXDOMAIN:
        print(name, 'unknown', flush=True)
time.sleep(1000)
"""

TASK_NAMES = [f"web.{slot}" for slot in (1, 2, 3)]


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().read().decode()


class Load:
    """Asks on and on in several threads, a new connection each time, and counts."""

    def __init__(self, port: int, threads: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(threads)]

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            try:
                self.answers[ask(self._port)] += 1
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()


def test_a_published_port_is_answered_by_all_tasks_in_turn_and_an_update_loses_no_request(daemon: Daemon) -> None:
    daemon.start("--nodes", "5", "--executor", "process", "--advertise-addr", "127.0.0.1")
    daemon.docker("swarm", "init")
    port = free_port()
    words = ("--publish", f"{port}:3000", "--replicas", "3", "--update-order", "start-first", "--update-delay", "1s")
    daemon.docker("service", "create", "--name", "web", *words, "host", sys.executable, "-c", WEB)
    answers = Counter(".".join(ask(port).split(".")[:2]) for _ in range(30))
    assert answers == dict.fromkeys(TASK_NAMES, 10)
    with Load(port).running() as load:
        eventually(lambda: sum(load.answers.values()) > 100, "it is under load")
        daemon.docker("service", "update", "--env-add", "RELEASE=two", "web")
        before = sum(load.answers.values())
        eventually(lambda: sum(load.answers.values()) > before + 100, "it is under load after the update")
    assert load.lost == []
    assert {answer.split(" ")[1] for answer in load.answers} == {"", "two"}
    assert all(ask(port).endswith(" two") for _ in range(6))
    daemon.docker("service", "rm", "web")
    eventually(lambda: not listens(port), "nothing listens for what is gone")


def test_an_update_to_what_is_not_healthy_loses_no_request_and_reaches_nobody(daemon: Daemon) -> None:
    daemon.start("--executor", "process", "--advertise-addr", "127.0.0.1")
    daemon.docker("swarm", "init")
    port = free_port()
    words = ("--publish", f"{port}:3000", "--replicas", "2", "--update-order", "start-first")
    daemon.docker("service", "create", "--name", "web", *words, "host", sys.executable, "-c", WEB)
    with Load(port).running() as load:
        ill = ("--health-cmd", "exit 1", "--health-interval", "200ms", "--health-retries", "2")
        daemon.docker("service", "update", "--detach", "--env-add", "RELEASE=ill", *ill, "web")
        state = "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}"
        eventually(
            lambda: daemon.docker("service", "inspect", "--format", state, "web").strip() == "paused", "it is paused"
        )
        before = sum(load.answers.values())
        eventually(lambda: sum(load.answers.values()) > before + 50, "the old ones answer")
    assert load.lost == []
    assert {answer.split(" ")[1] for answer in load.answers} == {""}


def test_a_port_that_is_taken_is_said_of_the_task_and_harms_no_other_service(daemon: Daemon) -> None:
    daemon.start("--executor", "process", "--advertise-addr", "127.0.0.1")
    daemon.docker("swarm", "init")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken, port = other.getsockname()[1], free_port()
        for name, number in (("taken", taken), ("web", port)):
            words = ("--name", name, "--publish", f"{number}:3000", "--detach")
            daemon.docker("service", "create", *words, "host", sys.executable, "-c", WEB)
        eventually(lambda: daemon.converged("web"), "the other one runs")
        assert ask(port).startswith("web.1.")
        said = f"published port {taken}/tcp cannot be opened: 127.0.0.1:{taken}: Address already in use"
        eventually(lambda: said in daemon.docker("service", "ps", "--no-trunc", "taken"), "the reason is shown")
    eventually(lambda: daemon.converged("taken"), "it runs once the port is free")


def test_each_node_has_host_ports_of_its_own(daemon: Daemon) -> None:
    daemon.start("--nodes", "3", "--executor", "process", "--advertise-addr", "127.0.0.1")
    daemon.docker("swarm", "init")
    port = free_port()
    publish = f"mode=host,published={port},target=3000"
    web = WEB.replace("os.environ.get('RELEASE', '')", "os.environ['SKEP_NODE_ADDR']")
    daemon.docker("service", "create", "--name", "web", "--mode", "global", "--publish", publish, "host",
                  sys.executable, "-c", web)  # fmt: skip
    assert ask(port).endswith(" 127.0.0.1")
    tasks = [json.loads(line) for line in daemon.docker("service", "ps", "web", "--format", "json").splitlines()]
    assert [task["Ports"] for task in tasks] == [f"*:{port}->3000/tcp"] * 3


def test_a_task_finds_the_services_of_its_networks_by_name_and_no_others(daemon: Daemon) -> None:
    daemon.start("--nodes", "2", "--executor", "process", "--advertise-addr", "127.0.0.1")
    daemon.docker("swarm", "init")
    daemon.docker("network", "create", "--driver", "overlay", "front")
    daemon.docker("network", "create", "--driver", "overlay", "back")
    sleep = ("host", "sleep", "1000")
    daemon.docker("service", "create", "--name", "web", "--replicas", "3", "--network", "name=front,alias=shop", *sleep)
    daemon.docker("service", "create", "--name", "other", "--network", "back", *sleep)
    daemon.docker("service", "create", "--name", "client", "--network", "front", "host", sys.executable, "-c", RESOLVE)
    client = daemon.get("/services/client")["ID"]
    eventually(lambda: len(daemon.lines(f"/services/{client}")) == 4, "it asked for all names")
    assert daemon.lines(f"/services/{client}") == ["web 3", "tasks.web 3", "shop 3", "other unknown"]
