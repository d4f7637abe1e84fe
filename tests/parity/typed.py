"""Beginnings of ids that a scenario types, in requests and in what the client says of them: they differ as ids do."""

import json
import re
import urllib.parse
from collections.abc import Iterable
from typing import Any

from tests.parity.recorder import Row

_ID = re.compile(r'"(?:ID|Id)": "([0-9a-z]{25})"')
_WORD = re.compile(r"[0-9a-z]+")
_WHERE = ("path", "query", "stdout", "stderr")
_ABSENT = 404
_AS = "<beginning of an id>"

Words = dict[int, list[str]]


def typed(theirs: Iterable[Row], ours: Iterable[Row]) -> tuple[Words, Words]:
    """Return which words of each step are the beginning of an id, in either recording of a scenario."""
    sides = (list(theirs), list(ours))
    steps = [{row["step"]: row["cli"] for row in rows if row["kind"] == "step"} for rows in sides]
    texts = [" ".join({word for row in rows for word in _ids(row)}) for rows in sides]
    found: tuple[Words, Words] = ({}, {})
    for number in steps[0].keys() & steps[1].keys():
        words = [_WORD.findall(urllib.parse.unquote(side[number])) for side in steps]
        if len(words[0]) != len(words[1]):
            continue
        for pair in zip(*words, strict=True):
            if pair[0] != pair[1] and all(f" {word}" in f" {text}" for word, text in zip(pair, texts, strict=True)):
                for side, word in zip(found, pair, strict=True):
                    side.setdefault(number, []).append(word)
    return found


def _ids(row: Row) -> list[str]:
    return _ID.findall(json.dumps(row.get("response_json")))


def mistaken(theirs: Iterable[Row], ours: Iterable[Row]) -> bool:
    """Say whether a name that nothing has was taken for the beginning of an id, which one run in some does."""
    absent = {(row["step"], row["path"]) for row in theirs if row["kind"] == "exchange" and row["status"] == _ABSENT}
    rows = list(ours)
    ids = {each for row in rows for each in _ids(row)}
    found = [
        row["path"].split("/")
        for row in rows
        if row["kind"] == "exchange" and (row["step"], row["path"]) in absent and row["status"] != _ABSENT
    ]
    return any(each.startswith(name) for names in found for name in names if name for each in ids)


def without(row: Row, words: list[str]) -> Row:
    """Return a row in which these words stand for any."""
    if not words:
        return row
    pattern = re.compile(rf"(?<![0-9a-z])(?:{'|'.join(words)})(?![0-9a-z])")

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: replaced(each) for name, each in value.items()}
        return pattern.sub(_AS, value) if isinstance(value, str) else value

    answer = row.get("response_json")
    more = {"response_json": replaced(answer)} if isinstance(answer, dict) and set(answer) == {"message"} else {}
    return row | more | {name: replaced(row[name]) for name in _WHERE if name in row}
