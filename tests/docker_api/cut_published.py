"""Cut the swarm's endpoints out of Docker's published description of its API: `python cut_published.py v1.44.yaml`.

The description is that of github.com/moby/moby, `api/docs/v1.44.yaml` (Apache License 2.0). Only shapes are kept:
types, names, words to choose from, bounds.
"""

import json
import lzma
import re
import sys
from pathlib import Path
from typing import Any

import yaml

OUT = Path(__file__).parent / "recorded" / "published.json.xz"

#: What skep answers itself.
KEPT = re.compile(
    r"/(swarm|services|nodes|tasks|secrets|configs|networks|events|info|version|_ping|distribution)(/.*)?"
)

#: What says of which shape a value is.
SHAPE = frozenset({
    "$ref", "additionalProperties", "allOf", "enum", "format", "items", "maximum", "minimum", "pattern", "properties",
    "type",
})  # fmt: skip


def shape(schema: dict[str, Any]) -> dict[str, Any]:
    kept = {key: schema[key] for key in schema if key in SHAPE}
    if "properties" in kept:
        kept["properties"] = {name: shape(one) for name, one in kept["properties"].items()}
    if "allOf" in kept:
        kept["allOf"] = [shape(one) for one in kept["allOf"]]
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = shape(kept[key])
    return kept


def referred(value: Any) -> set[str]:
    """Return the names of the definitions that `value` refers to."""
    if isinstance(value, list):
        return set().union(*map(referred, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].rpartition("/")[2]} if "$ref" in value else set()
    return own.union(*map(referred, value.values()))


def endpoint(method: str, path: str, said: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"method": method.upper(), "path": path, "query": {}, "headers": {}}
    for one in said.get("parameters", ()):
        if one["in"] == "body":
            found["body"] = shape(one["schema"])
        elif one["in"] in ("query", "header"):
            found["query" if one["in"] == "query" else "headers"][one["name"]] = shape(one)
    return found


def main() -> None:
    whole = yaml.safe_load(Path(sys.argv[1]).read_text())
    endpoints = [
        endpoint(method, path, said)
        for path, methods in whole["paths"].items()
        if KEPT.fullmatch(path)
        for method, said in methods.items()
    ]
    definitions: dict[str, Any] = {}
    wanted = referred(endpoints)
    while wanted:
        name = min(wanted)
        definitions[name] = shape(whole["definitions"][name])
        wanted = (wanted | referred(definitions[name])) - definitions.keys()
    cut = {"version": whole["info"]["version"], "endpoints": endpoints, "definitions": definitions}
    OUT.write_bytes(lzma.compress(json.dumps(cut, indent=1, sort_keys=True).encode()))


if __name__ == "__main__":
    main()
