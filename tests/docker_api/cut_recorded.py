"""Cut what the tests need out of the recordings of a real swarm: `python cut_recorded.py FOLDER_OF_JSONL`.

Of many examples of one shape (the same paths of keys, whatever the values) only the first is kept.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "recorded"
KINDS = {"nodes": 12, "tasks": 30, "secrets": 6, "configs": 6}


def exchanges(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        with path.open() as lines:
            for line in lines:
                one = json.loads(line)
                if one["kind"] == "exchange":
                    yield one | {"scenario": path.stem, "path": re.sub(r"^/v1\.41(?=/)", "", one["path"])}


def shape(value: Any, path: str = "") -> frozenset[str]:
    if isinstance(value, dict):
        return frozenset({path + "{}"}).union(*(shape(v, f"{path}.{k}") for k, v in value.items()))
    if isinstance(value, list):
        return frozenset({path + "[]"}).union(*(shape(v, path + "[]") for v in value))
    return frozenset({path + ("" if value else "=0")})


def of_new_shape(seen: set[frozenset[str]]) -> Callable[[Any], bool]:
    def new(value: Any) -> bool:
        before = len(seen)
        seen.add(shape(value))
        return len(seen) > before

    return new


def raw_body(one: dict[str, Any]) -> str:
    return json.dumps(one["request_json"]) if "request_json" in one else one.get("request_body") or ""


def services(recorded: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Requests with the spec that came of them, specs with and without defaults, and whole services."""
    requests: dict[tuple[str, str], Any] = {}
    plain: dict[tuple[str, str, int], Any] = {}
    cut: dict[str, list[Any]] = {"stored": [], "defaults": [], "services": []}
    new_request, new_default, new_service = (of_new_shape(set()) for _ in range(3))
    for one in recorded:
        scenario, path, body = one["scenario"], one["path"], one.get("request_json")
        if one["method"] == "POST" and re.fullmatch(r"/services/(create|[^/]+/update)", path) and one["status"] < 300:
            if isinstance(body, dict) and not one["query"].get("rollback"):
                requests[scenario, body.get("Name", "")] = body
        elif one["method"] == "GET" and re.fullmatch(r"/services/[^/]+", path) and one["status"] == 200:
            answer = one["response_json"]
            spec, key = answer["Spec"], (scenario, answer["ID"], answer["Version"]["Index"])
            if "JobStatus" not in answer and new_service(answer):
                cut["services"].append(answer)
            if one["query"].get("insertDefaults") == "true":
                if key in plain and new_default(plain[key]):
                    cut["defaults"].append({"stored": plain[key], "shown": spec})
                continue
            plain[key] = spec
            asked = requests.pop((scenario, spec["Name"]), None)
            by_name = asked and any(
                len(n["Target"]) != 25
                for n in asked.get("TaskTemplate", {}).get("Networks") or asked.get("Networks") or ()
            )
            if asked and not by_name and new_request(asked):
                cut["stored"].append({"request": asked, "stored": spec})
    cut["services"] = cut["services"][:40]
    return cut


def objects(recorded: list[dict[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for kind, most in KINDS.items():
        new = of_new_shape(set())
        for one in recorded:
            if one["method"] == "GET" and re.fullmatch(rf"/{kind}(/[^/]+)?", one["path"]) and one["status"] == 200:
                answer = one.get("response_json") or []
                for value in answer if isinstance(answer, list) else [answer]:
                    if len(found[kind]) < most and new(value):
                        found[kind].append(value)
    new = of_new_shape(set())
    found["swarm"] = [
        one["response_json"]
        for one in recorded
        if one["method"] == "GET" and one["path"] == "/swarm" and one["status"] == 200 and new(one["response_json"])
    ]
    return found


def refused_bodies(recorded: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Bodies that Go's decoder refuses, with its words."""
    words = re.compile(r"^(json: |invalid character|illegal base64|unexpected EOF|got EOF)")
    refused: dict[tuple[str, str], str] = {}
    for one in recorded:
        message = (
            (one.get("response_json") or {}).get("message", "") if isinstance(one.get("response_json"), dict) else ""
        )
        if one["method"] == "POST" and one["status"] == 400 and words.match(message) and "network" not in one["path"]:
            refused.setdefault((one["path"], raw_body(one)), message)
    return [{"path": path, "body": body, "message": message} for (path, body), message in refused.items()]


def write(name: str, value: Any) -> None:
    """Write a value with one example a line, so that a difference can be read."""
    lists = value if isinstance(value, dict) else {"": value}
    texts = [",\n".join(json.dumps(one, separators=(",", ":")) for one in ones) for ones in lists.values()]
    if isinstance(value, dict):
        text = "{" + ",\n".join(f"{json.dumps(k)}: [\n{t}\n]" for k, t in zip(lists, texts, strict=True)) + "}\n"
    else:
        text = f"[\n{texts[0]}\n]\n"
    (HERE / f"{name}.json").write_text(text)


def main() -> None:
    recorded = list(exchanges(Path(sys.argv[1])))
    write("services", services(recorded))
    write("objects", objects(recorded))
    write("refused_bodies", refused_bodies(recorded))


if __name__ == "__main__":
    main()
