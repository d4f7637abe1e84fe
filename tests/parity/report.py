"""The page that says what is equal, what is not, and why: `docs/compatibility.md`."""

from collections.abc import Iterable, Sequence

from tests.parity.listed import Kind
from tests.parity.result import Result, total

HEAD = """# Compatibility

What the unmodified docker client, 28.2.2 at API 1.41, types and prints, and every request that it makes, compared with
recordings of a real swarm: Docker 20.10.24. `make parity` runs the recorded scenarios and compares, step by step and
exchange by exchange; `make parity PAGE=1` writes this page anew. `PEER=1` runs each scenario against a real swarm as
well. `make test` fails on any difference that is not listed here and shows in two runs.

An exchange is equal if method, path, query, body and status are, the headers that say something, and the answer: each
field, each word, each code, in order. Ids may be others, if each is always the same one. Taken out before are instants,
tokens, keys, host parts of addresses on overlay networks, process ids, version numbers, what is the machine's (kernel,
memory, folders), and the requests by which a client that waits looks again and again. Two headers are not compared:
`Server`, which says skep, and `Transfer-Encoding`, since skep says how long an answer is where Docker sends chunks.

What a swarm or the client draws is put in order before: in which order a stack's networks and services are made, and in
which the tasks of a service tell their lines. A swarm gives all lines of one task after all of another; skep merges
what is past in order of time, so lines are compared task by task.

"""

TITLES: dict[Kind, str] = {
    "purpose": "Different on purpose",
    "lacks": "Not offered",
    "noise": "Drawn, or dependent on the instant: two runs of a real swarm may differ here, too",
    "managers": "Excluded: it takes several managers",
    "kernel": "Excluded: the kernel of the machine lacks it",
}


def page(results: Sequence[Result]) -> str:
    """Return the page for results of all scenarios."""
    return HEAD + f"{total(results)}\n\n" + _scenarios(results) + "".join(_reasons(results))


def _scenarios(results: Iterable[Result]) -> str:
    rows = [
        "| scenario | steps | exchanges | equal | listed | excluded |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in results:
        listed = sum(each.listed.values()) - each.excluded
        share = 100 * each.equal / max(1, each.counted)
        rows.append(
            f"| {each.name} | {each.steps} | {each.exchanges} | {each.equal} of {each.counted} ({share:.1f} %) "
            f"| {listed or ''} | {each.excluded or ''} |"
        )
    return "\n".join(rows) + "\n"


def _reasons(results: Sequence[Result]) -> Iterable[str]:
    for kind, title in TITLES.items():
        where: dict[str, list[str]] = {}
        for result in results:
            for entry in result.met:
                if entry.kind == kind:
                    where.setdefault(entry.why, []).append(result.name[:2])
        if where:
            yield f"\n## {title}\n\n"
            yield "".join(f"- {why} ({', '.join(dict.fromkeys(names))})\n" for why, names in sorted(where.items()))
