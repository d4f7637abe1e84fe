"""Takes out of a recording what differs from run to run.

Ids stay, as tokens: two recordings agree if one's ids can be renamed to the other's, each always to the same. Those of
nodes become their names. Which slot of a service got which node is drawn, so slots are compared as a whole.
"""

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tests.parity import stacks
from tests.parity.ps_table import HEAD, SLOT, ordered, sentence
from tests.parity.recorder import Row

_ID = re.compile(r"(?<![0-9a-z])(?=[0-9a-z]*[0-9])(?=[0-9a-z]*[a-z])[0-9a-z]{25}(?![0-9a-z])")
#: one id in three thousand is of letters alone: only what it stands for tells it from a long word
_LETTERS = re.compile(r'"\w*I[Dd]": "([a-z]{25})"')
_HEX = re.compile(r"\b[0-9a-f]{64}\b")
_SHORT = 12
#: bytes of memory that no service of the scenarios asks for
_A_NODE_HAS = 10 << 30

#: what a token is made of: neither character is in any recording
_TOKEN = re.compile("⟦([^⟧]*)⟧")

_FIRST = (
    (re.compile(r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}"), "<join-token>"),
    (re.compile(r"SWMKEY-1-[A-Za-z0-9+/=]{43,44}"), "<unlock-key>"),
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----\n?", re.DOTALL), "<pem>"),
    (re.compile(r"MFkwEwYHKoZIzj0[A-Za-z0-9+/=]{80,}"), "<base64>"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "<digest>"),
    (re.compile(r"(<contract>/run/[A-Z]/n\d+/data|/srv/docker)(?=/)"), "<docker>"),
    (re.compile(r"(<contract>/run/[A-Z]/n\d+/exec|/run/docker)(?=/)"), "<exec>"),
    (re.compile(r"(<contract>/run/[A-Z]/wd/\w+|/tmp/skep-\w+/wd)(?=/)"), "<wd>"),
)
_THEN = (
    (
        re.compile(
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?(Z|\+0000( utc| UTC)?|[+-]\d\d:\d\d))?",
        ),
        "<time>",
    ),
    (
        re.compile(r"((?:[Ll]ess than a|[Aa]bout an?) (?:second|minute|hour)|\d+ (second|minute|hour)s?)( ago)?"),
        "<ago>",
    ),
    (re.compile(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "<mac>"),
    (re.compile(r"\b((?:[A-Z2-7]{4}:){11}[A-Z2-7]{4})\b"), "<engine-id>"),
    # as `ls` writes it
    (re.compile(r"\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d\b"), "<time>"),
    # what an engine gives on its bridge
    (re.compile(r"\b172\.29\.(\d+)\.(?!1\b)\d+\b"), r"<172.29.\1.x>"),
    # and to a bridge that names no subnet
    (re.compile(r"\b172\.(?:1[89]|2[0-8]|3[01])\.0\.(\d+)(/16)?\b(?!/)"), r"<172.n.0.\1\2>"),
    (re.compile(r"\b\d+: (eth\d)@if\d+:"), r"<n>: \1@if<n>:"),
    # a port of a node's own choice
    (re.compile(r"(?<=:)(3276[89]|327[7-9]\d|32[89]\d\d)(?=->)"), r"⟦\1⟧"),
    (re.compile(r'("time(?:Nano)?":)\d+'), r"\1<n>"),
    (re.compile(r"\b10\.(\d+)\.(\d+)\.\d+(/\d+)?\b"), r"<10.\1.\2.x\3>"),
    (re.compile(r"(<contract>/run/\w+/n\d+/data|/srv/docker)(?=/)"), "<docker>"),
    (re.compile(r"(<contract>/run/\w+/n\d+/exec|/run/docker)(?=/)"), "<run>"),
    (re.compile(r"(?<=\bHOME=)(<contract>/run/\w+/wd/\w+|/tmp/skep-\w+/wd)"), "<home>"),
    (re.compile(r"(?<=\bPATH=)/[^\s\"]+"), "<path>"),
    (re.compile(r"(->10\.255\.255\.53:53|-><10\.255\.255\.x>:53|read udp )[^ ]*"), "<resolver>"),
)
_SUBNET = re.compile(r"<(10\.\d+\.\d+)\.x")
#: `docker info` goes through them as they lie in a map
_RUNTIMES = re.compile(r"(?m)^( *Runtimes: )(.*)$")
#: what the client puts into the order of ids, and then calls by name
_BY_ID = re.compile(r"(?m)(following services: |^Networks: )([\w, .-]+)")
#: a name that was made up for a service
_MADE_UP = re.compile(r'"Name": "([a-z]+_[a-z]+)"')
_MADE_UP_TOKEN = re.compile("⟦[a-z]+_[a-z]+⟧")
#: a client that waits for a job says so each time that it looks
_LOOKED = re.compile(r"active tasks: \d+ out of \d+ tasks")

#: what is the machine's, in `docker info`; and who answers, which is meant to differ
_MACHINE = (
    (
        re.compile(
            r"(?m)^( *(Kernel Version|Operating System|Docker Root Dir|Backing Filesystem|Images|Total Memory):).*"
        ),
        r"\1 <host>",
    ),
    (re.compile(r"(?m)^( *Issuer Subject:).*"), r"\1 <base64>"),
)
#: the name of a task in that of its container
_OF_A_SLOT = re.compile(r"(?<=\.)\d+(?=\.(?:⟦|<))")

_VXLAN = "com.docker.network.driver.overlay.vxlanid_list"
_NUMBERS = {
    **dict.fromkeys(("PID", "Pid", "NGoroutines", "NFd", "MemTotal", "time", "timeNano", "Images"), "<n>"),
    "LocalLBIndex": "<n>",
    # how many containers of ended tasks an engine has not yet removed
    **dict.fromkeys(("Containers", "ContainersRunning", "ContainersStopped"), "<n>"),
    "Index": "<index>",
    "Created": "<time>",
}
_DROPPED = frozenset({"t", "dur", "seq", "repeated", "repeated_until_t", "response_times", "recorded", "scenario"})
_HOST = frozenset({"SystemTime", "KernelVersion", "OperatingSystem", "NEventsListener", "server", "transfer-encoding"})
_FIXED = {
    **dict.fromkeys(("CertIssuerSubject", "CertIssuerPublicKey", "PublicKey"), "<base64>"),
    "DockerRootDir": "<host>",
}
_COUNTED = {"version": "<index>", "since": "<time>", "until": "<time>"}
#: neither the client nor the engine keeps these in an order
_UNORDERED = frozenset({"Secrets", "Configs", "VirtualIPs", "Networks", "NetworksAttachments", "GenericResources"})
#: ports that a node chooses for a container
_CHOSEN = range(32768, 33000)
#: what objects have of which an engine keeps no order: all that have ids, volumes, and the mounts of a container
_ENGINES = frozenset({"ID", "Id", "Mountpoint", "Destination"})


class Normal:
    """The recording of one scenario: its ids are known, so their shortened forms are found, too."""

    def __init__(self, rows: Iterable[Row]) -> None:
        found: set[str] = set()
        named: set[str] = set()
        given = ""
        for row in rows:
            text = json.dumps(row, ensure_ascii=False)
            if "/services" in row.get("path", ""):
                named.update(_MADE_UP.findall(json.dumps(row.get("response_json"))))
            given += json.dumps([row.get("request_json"), row.get("cli"), row.get("text")])
            for pattern, by in _FIRST:
                text = pattern.sub(by, text)
            found.update(_ID.findall(text), _HEX.findall(text))
            found.update(_LETTERS.findall(text))
        self._nodes = _nodes(rows)
        self._node = re.compile("|".join(self._nodes)) if self._nodes else None
        #: ids of what looks the same in a list but for its ids: which of them is which, nobody can tell
        self.alike: set[str] = set()
        known = sorted(found | {each[:_SHORT] for each in found}, key=len, reverse=True)
        self._known = re.compile("|".join(known)) if known else None
        #: the client makes the networks of a stack in an order that it draws, and so draws what they get in turn
        self._drawn = any(stacks.deploys(str(row.get("cli", ""))) for row in rows)
        made_up = sorted(name for name in named if name not in given)
        self._made_up = re.compile(rf"\b({'|'.join(made_up)})\b") if made_up else None

    def row(self, row: Row) -> Any:
        """Return a row as it is compared."""
        row = {key: value for key, value in row.items() if key not in _DROPPED}
        if row.get("path", "").endswith("/wait"):
            row.pop("cut", None)  # a client may leave as soon as it knows
        if "/exec/" in row.get("path", "") and isinstance(row.get("response_stream"), list):
            row["response_stream"] = _joined(row["response_stream"])
        return self._walk(row, "")

    def _text(self, text: str) -> str:
        for pattern, by in _FIRST:
            text = pattern.sub(by, text)
        if self._node is not None:
            text = self._node.sub(lambda found: self._nodes[found[0]], text)
        text = _ID.sub(lambda found: f"⟦{found[0]}⟧", text)
        text = _HEX.sub(lambda found: f"⟦{found[0]}⟧", text)
        if self._known is not None:
            text = "".join(self._tokened(text))
        if self._made_up is not None:
            text = self._made_up.sub(lambda found: f"⟦{found[0]}⟧", text)
        for pattern, by in _THEN:
            text = pattern.sub(by, text)
        text = _OF_A_SLOT.sub(SLOT, text)
        if self._drawn:
            text = _SUBNET.sub(r"<⟦\1⟧.x", text)
        text = _RUNTIMES.sub(lambda found: found[1] + " ".join(sorted(found[2].split())), text)
        return _BY_ID.sub(lambda found: found[1] + ", ".join(sorted(re.split(", | ", found[2]))), text)

    def _tokened(self, text: str) -> Iterator[str]:
        """Make tokens of ids within words, and of their beginnings, except inside of tokens."""
        assert self._known is not None
        at = 0
        for token in _TOKEN.finditer(text):
            yield self._known.sub(lambda found: f"⟦{found[0]}⟧", text[at : token.start()])
            yield token[0]
            at = token.end()
        yield self._known.sub(lambda found: f"⟦{found[0]}⟧", text[at:])

    def _printed(self, text: str) -> Any:
        """Return what a client printed: JSON is JSON, and tables lose their padding."""
        if "overall progress" in text:
            return "<progress>"
        try:
            return self._walk(json.loads(text), "")
        except ValueError:
            for pattern, by in _MACHINE:
                text = pattern.sub(by, text)
            lines = [re.sub(r"  +", "  ", line).rstrip() for line in self._text(text).split("\n")]
            # nobody can tell where a made-up name comes among others
            lines = sorted(
                (line for line in lines if not _LOOKED.fullmatch(line)),
                key=lambda line: _MADE_UP_TOKEN.search(line) is not None,
            )
            return ordered(lines, masked) if lines[0].startswith(HEAD) else lines

    def _walk(self, value: Any, key: str) -> Any:
        if isinstance(value, dict):
            if "ServiceID" in value and "Slot" in value:
                value = {**value, "Slot": SLOT}
            if value.get("Source") == "/tmp" and value.get("Propagation") == "rslave":  # noqa: S108 - it is a scenario's
                # an engine makes it so where its own data are below, as those of the recordings were
                value = {**value, "Propagation": "rprivate"}
            if key == "Containers" and all(isinstance(each, dict) for each in value.values()):
                return self._list([{"of": name, "ID": "", **each} for name, each in value.items()], key)
            found = {self._text(name): self._walk(each, name) for name, each in value.items() if name not in _HOST}
            return _by_content(found) if found and all(map(_TOKEN.fullmatch, found)) else found
        if isinstance(value, list):
            return self._list(value, key)
        if isinstance(value, str):
            return self._string(value, key)
        if key == "PublishedPort" and value in _CHOSEN:
            return f"⟦{value}⟧"
        if isinstance(value, int | float) and not isinstance(value, bool):
            return "<host>" if key == "MemoryBytes" and value > _A_NODE_HAS else _NUMBERS.get(key, value)
        return value

    def _string(self, value: str, key: str) -> Any:
        if key in ("stdout", "stderr"):
            return self._printed(value)
        if key in _FIXED:
            return _FIXED[key]
        if key == _VXLAN and self._drawn:
            return f"⟦{value}⟧"
        if key in _COUNTED and value.isdigit():
            return _COUNTED[key]
        text = self._text(value)
        # a client puts ids into their own order
        return masked(text) if key == "filters" and len(tokens(text)) > 1 else text

    def _list(self, given: list[Any], key: str) -> list[Any]:
        if given[:1] == ["Backing Filesystem"]:
            return ["Backing Filesystem", "<host>"]
        if key == "NetworksDeleted":  # in the order of their ids
            return sorted(given)
        found = [self._walk(each, key) for each in given]
        if key == "Peers":
            return [{**each, "Name": "<peer>"} for each in found]
        objects = bool(found) and all(isinstance(each, dict) for each in found)
        if key in _UNORDERED or (objects and all(_ENGINES.intersection(each) for each in found)):
            slots = _slots(given)
            return self._sorted(given, found) + (sorted(slots) if self._drawn else slots)
        return found

    def _sorted(self, given: list[Any], found: list[Any]) -> list[Any]:
        """Return objects in order, the older first among those that look the same."""
        pairs = zip(given, found, strict=True)
        rows = sorted((_order(each), _created(raw), at) for at, (raw, each) in enumerate(pairs))
        for _, same in itertools.groupby(rows, key=lambda row: row[0]):
            ids = [frozenset(tokens(json.dumps(found[at], ensure_ascii=False))) for *_, at in same]
            own = frozenset.union(*ids) - frozenset.intersection(*ids)
            self.alike |= own | {each[:_SHORT] for each in own}
        return [found[at] for *_, at in rows]


def _nodes(rows: Iterable[Row]) -> dict[str, str]:
    """Return the names of nodes by their ids, and by the beginnings of those; a second node of a name has a number."""
    seen: dict[str, tuple[str, str]] = {}
    for row in rows:
        answer = row.get("response_json") if "/nodes" in row.get("path", "") else None
        for each in answer if isinstance(answer, list) else [answer]:
            if isinstance(each, dict) and "Description" in each:
                seen[each["ID"]] = each["Description"].get("Hostname", ""), each["CreatedAt"]
    names: dict[str, str] = {}
    for host, same in itertools.groupby(sorted(seen, key=seen.__getitem__), key=lambda node: seen[node][0]):
        for number, node in enumerate(same, 1):
            names[node] = f"<{host}>" if number == 1 else f"<{host}, its id number {number}>"
    return names | {node[:_SHORT]: name for node, name in names.items()}


def _by_content(found: dict[str, Any]) -> list[Any]:
    """Return what stands by its ids in the order of what it is."""
    return sorted(([name, each] for name, each in found.items()), key=_order)


def _created(value: Any) -> str:
    return str(value.get("CreatedAt", "")) if isinstance(value, dict) else ""


def _slots(tasks: list[Any]) -> list[str]:
    """Return which slots a list of tasks has of each service, by the order of the services' oldest tasks."""
    found: dict[str, list[int]] = {}
    for task in sorted((each for each in tasks if isinstance(each, dict) and "ServiceID" in each), key=_created):
        if "Slot" in task:
            found.setdefault(task["ServiceID"], []).append(task["Slot"])
    return [sentence("a service", slots) for slots in found.values()]


def _joined(frames: list[Row]) -> list[Row]:
    """Return the frames of a command's output as if it had been read in as few parts as can be."""
    runs = itertools.groupby(frames, key=lambda frame: str(frame["stream"]))
    return [{"stream": stream, "data": "".join(frame["data"] for frame in run)} for stream, run in runs]


def _order(value: Any) -> str:
    """Return what objects are ordered by: first what tells them apart in words, then all else but ids."""
    spec = value.get("Spec") if isinstance(value, dict) else None
    first = [value.get(key) for key in ("Name", "ServiceID", "Slot", "DesiredState")] if isinstance(value, dict) else []
    name = spec.get("Name") if isinstance(spec, dict) else None
    return masked(json.dumps([name, first, value], sort_keys=True, ensure_ascii=False))


def masked(text: str) -> str:
    """Return a text without its ids."""
    return _TOKEN.sub("<id>", text)


def tokens(text: str) -> list[str]:
    """Return the ids of a text, in its order; shortened ones are as long as the client shows them."""
    return _TOKEN.findall(text)
