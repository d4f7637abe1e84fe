"""What Swarm's API does not have of services: specs by number, outcomes, going back to any spec, spreading anew.

It stands under /skep/, apart from Docker's paths, for the `skep` command. Specs are numbered from 1, the oldest first.
"""

import re
from typing import Any

from aiohttp import web
from skep.core.lookup import find_service
from skep.core.state import ClusterState
from skep.model.ids import Position
from skep.model.service import Outcome, Service

from skep_adapters.docker_api.answers import json_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import bad_request
from skep_adapters.docker_api.times import rfc3339

_COUNT = re.compile("[0-9]{1,9}")


async def history(call: Call) -> web.StreamResponse:
    """Answer the positions of a service's specs, and how its last updates ended."""
    service, specs, outcomes = await _known(call)
    return json_answer(
        {"ID": service.id, "Specs": specs, "Outcomes": [_render(outcome, specs) for outcome in outcomes]}
    )


async def rollback(call: Call) -> web.StreamResponse:
    """Give a service its spec with the number `to` again."""
    to = counted(call, "to")
    service, specs, _ = await _known(call)
    if to > len(specs):
        raise bad_request(f"service {service.spec.name} has no spec {to}: its newest is {len(specs)}")
    await call.cluster.services.rollback(service.id, service.version, to=specs[to - 1], actor=call.actor)
    return json_answer({"ID": service.id})


async def rebalance(call: Call) -> web.StreamResponse:
    """Spread the tasks of a service anew, moving at most `budget` of them."""
    budget = counted(call, "budget")
    service, *_ = await _known(call)
    await call.cluster.services.rebalance(service.id, budget=budget, actor=call.actor)
    return json_answer({"ID": service.id})


async def _known(call: Call) -> tuple[Service, list[Position], tuple[Outcome, ...]]:
    def ask(state: ClusterState) -> tuple[Service, list[Position], tuple[Outcome, ...]]:
        service = find_service(state, call.ref)
        return service, [*state.spec_positions[service.id]], state.outcomes.get(service.id, ())

    return await call.read(ask)


def counted(call: Call, name: str) -> int:
    """Return a number of the query that counts from 1."""
    text = call.param(name)
    if not _COUNT.fullmatch(text) or not int(text):
        raise bad_request(f"{name} must be a whole number from 1, not {text!r}")
    return int(text)


def _render(outcome: Outcome, specs: list[Position]) -> dict[str, Any]:
    return {
        "Spec": specs.index(outcome.spec_at) + 1 if outcome.spec_at in specs else 0,
        "Rollback": outcome.rollback,
        "State": outcome.state,
        "Why": outcome.why,
        "Changed": outcome.changed,
        "StartedAt": rfc3339(outcome.started_at),
        "CompletedAt": rfc3339(outcome.completed_at),
        "Positions": {"Spec": outcome.spec_at, "Began": outcome.began_at, "Ended": outcome.ended_at},
        "Made": outcome.made,
        "Tasks": outcome.tasks,
        "Failed": outcome.failed,
    }
