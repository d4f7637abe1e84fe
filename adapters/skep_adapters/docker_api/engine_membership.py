"""Whether the Docker Engine of this machine is in a swarm that is not skep's."""

from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.passthrough_engine import EngineGone


async def in_a_swarm(call: Call) -> bool:
    """Return whether the engine beside skep, which has no swarm, is in one; one that does not answer is in none."""
    if call.engine is None:
        return False
    try:
        heard = (await call.engine.ask("/info")).json()
    except EngineGone:
        return False
    return bool((heard.get("Swarm") or {}).get("NodeID"))
