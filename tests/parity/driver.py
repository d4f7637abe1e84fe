"""Types what a scenario says, and returns the recording: rows of steps, and of exchanges."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.parse
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal

from tests.acceptance.daemon import UnixConnection
from tests.engines.machine import path
from tests.parity.expected import Expected
from tests.parity.nodes import Nodes
from tests.parity.recorder import Recorder, Row
from tests.parity.scenario import Line, Scenario

API = "/v1.41/"
IMAGE = "localhost:5000/bb:1"
SMALL = {"TaskTemplate": {"ContainerSpec": {"Image": IMAGE}}, "Mode": {"Replicated": {"Replicas": 0}}}

PATIENCE_S = 60.0
LOOK_AGAIN_S = 0.1
#: so long a step is done again, which is more than it takes what failed to be restarted, and all steps of a scenario
AGAIN_FOR_S = 6.0
AGAIN_IN_ALL_S = 60.0

_WORD = re.compile(r"\$\{(\w+)\}")


class Driver:
    """One scenario on its nodes. `portal` has the loop in which exchanges are passed on.

    A step that only reads is done again for a while if it shows anything but what is expected: that may be on its way.
    """

    def __init__(self, scenario: Scenario, nodes: Nodes, portal: BlockingPortal, expected: Expected) -> None:
        self._scenario = scenario
        self._expected = expected
        self._nodes = nodes
        self._portal = portal
        self._recorder = Recorder()
        self._folder = nodes.home / "wd"
        self._folder.mkdir()
        self._config = nodes.home / "cfg"
        self._config.mkdir()
        self._steps: list[Row] = []
        self._words: dict[str, str] = {}
        self._background: dict[str, _Typed] = {}
        self._made = {"x": 0, "m": 0}
        self._opened = 0
        self._again_s = AGAIN_IN_ALL_S
        #: what was waited for in vain
        self.missed: list[str] = []

    def run(self) -> list[Row]:
        """Run it all."""
        todo = deque(self._scenario.lines)
        while todo:
            line = todo.popleft()
            todo.extendleft(reversed(self._do(line)))
        for typed in self._background.values():
            typed.interrupt()
            self._steps.append(typed.ended(5))
        self._background.clear()
        rows: list[Row] = []
        exchanges = sorted(self._recorder.rows, key=lambda row: int(row["seq"]))
        for step in sorted(self._steps, key=lambda row: int(row["step"])):
            rows += [step, *(row for row in exchanges if row["step"] == step["step"])]
        return rows

    # --- directives

    def _do(self, line: Line) -> list[Line]:
        """Do what a line says; return what is to be done in its place."""
        text = line.text
        if text.startswith("$"):
            found = re.fullmatch(r"\$(\d*)(?::([\d.]+))?\s+(.*)", text)
            assert found is not None, text
            node, words, patience = int(found[1] or 1), self._filled(found[3]), float(found[2] or PATIENCE_S)
            self._done(lambda: self._type(node, words).ended(patience), once=found[2] is not None)
            return []
        if text.startswith("+ "):
            self._made["x"] += 1
            name = self._words["X"] = f"x{self._made['x']}"
            words = f"$ docker service create -d --replicas 0 --name {name} {text[2:]} {IMAGE}"
            return [Line(line.number, words), Line(line.number, f"$ docker service inspect {name}")]
        if text.startswith("~ "):
            _, name, words = text.split(" ", 2)
            words = f"$ docker service update -d {words} {name}"
            return [Line(line.number, words), Line(line.number, f"$ docker service inspect {name}")]
        if text.startswith("mk "):
            self._made["m"] += 1
            spec = _merged({**SMALL, "Name": f"m{self._made['m']}"}, json.loads(self._filled(text[3:])))
            return [Line(line.number, f"raw POST ~/services/create {json.dumps(spec)}")]
        if text.startswith("upd "):
            _, name, given = text.split(" ", 2)
            now = self._ask(f"services/{name}")
            target = f"~/services/{name}/update?version={now['Version']['Index']}"
            spec = _merged(now["Spec"], json.loads(self._filled(given)))
            return [Line(line.number, f"raw POST {target} {json.dumps(spec)}")]
        if text.startswith("& "):
            _, name, words = text.split(" ", 2)
            self._background[name] = self._type(1, self._filled(words), background=name)
            time.sleep(0.3)
            return []
        if text.startswith("raw"):
            self._raw(line)
            return []
        found = re.fullmatch(r"@([a-z]+)(\d*)\s*(.*)", text)
        assert found is not None, text
        return self._directive(found[1], found[2], self._filled(found[3]), line)

    def _directive(self, name: str, number: str, rest: str, line: Line) -> list[Line]:
        if name == "sleep":
            time.sleep(float(rest))
        elif name == "file":
            assert line.body is not None
            (self._folder / rest).write_text(self._filled(line.body))
        elif name == "wait":
            patience, expression = rest.split(" ", 1)
            self._wait(float(patience), expression)
        elif name == "set":
            word, command = rest.split(" ", 1)
            self._words[word] = self._shell(1, command)
        elif name == "do":
            self._shell(int(number or 1), rest)
        elif name == "snap":
            paths = ("services?status=true", "tasks")
            return [Line(line.number, f"raw GET ~/{path}") for path in paths]
        elif name == "stop":
            typed = self._background.pop(rest)
            typed.interrupt()
            self._steps.append(typed.ended(5))
        elif name in ("kill", "start", "restart"):
            action: Callable[[int], None] = getattr(self._nodes, name)
            action(int(rest))
        else:
            assert name == "mark", line
        return []

    def _filled(self, text: str) -> str:
        return _WORD.sub(lambda found: self._words.get(found[1], found[0]), text)

    # --- what is typed

    def _type(self, node: int, words: str, **more: str) -> "_Typed":
        step = self._next()
        row = {"kind": "step", "step": step, "node": f"node{node}", "cli": words, **more}
        socket, close = self._open(node, step)
        return _Typed(row, words, self._environment(socket), self._folder, close)

    def _raw(self, line: Line) -> None:
        found = re.fullmatch(r"raw(\d*)\s+(\S+)\s+(\S+)\s*(.*)", line.text)
        assert found is not None, line
        node, method, target = int(found[1] or 1), found[2], self._filled(found[3])
        given = line.body if line.body is not None else found[4]
        body = self._filled(given).encode() if given else None
        bare, _, query = target.partition("?")
        if query:
            pairs = (term.partition("=") for term in query.split("&"))
            query = "&".join(
                f"{name}={urllib.parse.quote(value, safe='%')}" if sign else name for name, sign, value in pairs
            )
            bare += f"?{query}"
        target = API + bare[2:] if bare.startswith("~/") else bare
        self._done(lambda: self._request(node, method, target, body))

    def _request(self, node: int, method: str, target: str, body: bytes | None) -> Row:
        step = self._next()
        row: Row = {"kind": "step", "step": step, "node": f"node{node}", "cli": f"raw {method} {target}"}
        socket, close = self._open(node, step)
        try:
            status = _ask(socket, method, target, body)[0]
            row |= {"exit": 0, "http_status": status}
        except OSError as error:
            row |= {"exit": 1, "stderr": repr(error)}
        close()
        return row

    def _done(self, do: Callable[[], Row], *, once: bool = False) -> None:
        """Do a step, and keep it."""
        row = do()
        step, deadline = int(row["step"]), time.monotonic() + min(AGAIN_FOR_S, self._again_s)
        began = time.monotonic()
        while not once and self._is_on_its_way(step, row) and time.monotonic() < deadline:
            self._portal.call(self._recorder.forget, step)
            time.sleep(LOOK_AGAIN_S)
            row = do()
        self._again_s -= time.monotonic() - began
        self._steps.append(row)

    def _is_on_its_way(self, step: int, row: Row) -> bool:
        own = [row, *(each for each in self._recorder.rows if each["step"] == step)]
        if not self._expected.reads(step, own) or self._expected.missed(step, own):
            return False
        return not self._expected.shown(step, own, [*self._steps, *self._recorder.rows])

    def _next(self) -> int:
        return len(self._steps) + len(self._background) + 1

    def _open(self, node: int, step: int) -> tuple[Path, Callable[[], None]]:
        self._opened += 1
        socket = self._nodes.home / f"{self._opened}.sock"
        server = self._portal.call(self._recorder.open, socket, self._nodes.engine(node).socket, step)

        def close() -> None:
            time.sleep(0.02)  # what ends the last exchange may still be on its way
            self._portal.call(_close, server)

        return socket, close

    def _environment(self, socket: Path) -> dict[str, str]:
        own = {"DOCKER_HOST": f"unix://{socket}", "DOCKER_CONFIG": str(self._config), "HOME": str(self._folder)}
        return {"PATH": path(), "TZ": "UTC", "LC_ALL": "C.UTF-8", **own}

    # --- what is not recorded

    def _shell(self, node: int, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment(self._nodes.engine(node).socket),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return done.stdout.strip()

    def _ask(self, target: str) -> Any:
        return _ask(self._nodes.engine(1).socket, "GET", API + target, None)[1]

    def _wait(self, patience: float, expression: str) -> None:
        """Wait until an expression of the scenario is true; note it if it never is."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, LookupError, TypeError, AttributeError):
                if eval(expression, self._seen()):  # noqa: S307 - the scenarios are our own
                    return
            time.sleep(LOOK_AGAIN_S)
        self.missed.append(expression)

    def _seen(self) -> dict[str, Any]:
        """Return the words of expressions."""

        def tasks(service: str = "") -> list[Any]:
            terms = urllib.parse.quote(json.dumps({"service": [service]}))
            found = self._ask(f"tasks?filters={terms}" if service else "tasks")
            return found if isinstance(found, list) else []

        def service(name: str) -> Any:
            return self._ask(f"services/{name}")

        return {
            "tasks": tasks,
            "st": lambda name, state="running": sum(each["Status"]["State"] == state for each in tasks(name)),
            "live": lambda name, state="running": sum(
                each["Status"]["State"] == state and each["DesiredState"] == state for each in tasks(name)
            ),
            "svc": service,
            "upd": lambda name: (service(name).get("UpdateStatus") or {}).get("State"),
            "node": lambda name: next(
                each for each in self._ask("nodes") if each["Description"].get("Hostname") == name
            ),
            "g": self._ask,
        }


class _Typed:
    """A shell line that runs."""

    def __init__(self, row: Row, words: str, env: dict[str, str], folder: Path, close: Callable[[], None]) -> None:
        self._row = row
        self._close = close
        bash = shutil.which("bash")
        assert bash is not None
        self._process = subprocess.Popen(
            [bash, "-c", words],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def interrupt(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)
            self._row["interrupted"] = True

    def ended(self, patience: float) -> Row:
        """Return its row once it has ended; it is interrupted when that takes too long."""
        for number in (signal.SIGINT, signal.SIGKILL):
            try:
                out, err = self._process.communicate(timeout=patience)
                break
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, number)
                self._row["interrupted"] = True
                patience = 5
        else:
            out, err = self._process.communicate()
        self._close()
        shown = {"stdout": out.decode(errors="replace"), "stderr": err.decode(errors="replace")}
        return {**self._row, "exit": self._process.returncode, **shown}


async def _close(server: asyncio.Server) -> None:
    server.close()


def _ask(socket: Path, method: str, target: str, body: bytes | None) -> tuple[int, Any]:
    headers = {} if body is None else {"Content-Type": "application/json"}
    with contextlib.closing(UnixConnection(socket)) as connection:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        try:
            return answer.status, json.loads(text) if text else None
        except ValueError:
            return answer.status, text.decode(errors="replace")


def _merged(old: Any, new: Any) -> Any:
    """Return JSON merged over other JSON; null takes a key away."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    kept = {key: value for key, value in old.items() if key not in new}
    return kept | {key: _merged(old.get(key), value) for key, value in new.items() if value is not None}
