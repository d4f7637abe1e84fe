"""Stacks as a whole, which Swarm's API does not have: deployed as one change, with a history, and gone back to.

It stands under /skep/, apart from Docker's paths, for the `skep` command. Deployments are numbered from 1.
"""

from typing import Any

from aiohttp import web
from msgspec.structs import replace
from skep.history.deployments import Deployment
from skep.model.stack import StackSpec
from skep.runtime.stacks import Deployed

from skep_adapters.docker_api.answers import json_answer
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import bad_request
from skep_adapters.docker_api.handle_updates import counted
from skep_adapters.docker_api.stack_images import pinned_stack
from skep_adapters.docker_api.times import rfc3339


async def list_stacks(call: Call) -> web.StreamResponse:
    """Answer the stacks that have services."""
    stacks = await call.cluster.stacks.list()
    return json_answer({"Stacks": [{"Name": stack.name, "Services": stack.services} for stack in stacks]})


async def deploy(call: Call) -> web.StreamResponse:
    """Make a stack what the body says, its images by digest unless `resolve` says never."""
    # read as services are: a number beyond 64 bits could be in no checkpoint
    stack, warnings = replace(await call.body(StackSpec), name=call.ref), list[str]()
    match call.param("resolve"):
        case "" | "always":
            stack, warnings = await pinned_stack(call, stack)
        case "never":
            pass
        case other:
            raise bad_request(f"resolve must be always or never, not {other!r}")
    for spec in stack.services:
        warnings += [f"{spec.name}: {warning}" for warning in call.warnings(spec)]
    return _answer(await call.cluster.stacks.apply(stack, prune=call.truth("prune"), actor=call.actor), warnings)


async def history(call: Call) -> web.StreamResponse:
    """Answer the deployments of a stack, oldest first."""
    deployments = await call.cluster.stacks.history(call.ref)
    return json_answer({"Name": call.ref, "Deployments": [_render(one) for one in deployments]})


async def rollback(call: Call) -> web.StreamResponse:
    """Bring a stack back to what it was after its deployment `to`."""
    return _answer(await call.cluster.stacks.rollback(call.ref, to=counted(call, "to"), actor=call.actor), [])


def _answer(done: Deployed, warnings: list[str]) -> web.StreamResponse:
    return json_answer(
        {
            "Position": done.position,
            "Created": done.created,
            "Updated": done.updated,
            "Removed": done.removed,
            "Unchanged": done.unchanged,
            "Warnings": warnings or None,
        }
    )


def _render(one: Deployment) -> dict[str, Any]:
    return {
        "Number": one.number,
        "Kind": one.kind,
        "Position": one.position,
        "StartedAt": rfc3339(one.began_at),
        "CompletedAt": rfc3339(one.ended_at),
        "By": one.actor.name,
        "Client": one.actor.via,
        "Changes": [{"What": done.what, "Kind": done.kind, "Name": done.name} for done in one.done],
        "Services": [
            {"Name": then.spec.name, "Image": then.spec.container.image, "Spec": then.position} for then in one.services
        ],
    }
