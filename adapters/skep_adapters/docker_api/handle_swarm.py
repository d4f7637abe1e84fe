"""What is asked of the swarm itself: init, inspect, update, leave, its tokens and keys."""

import msgspec
from aiohttp import web
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.model.states import Availability
from skep.model.swarm import Cluster, EncryptionConfig, SwarmSpec
from skep.runtime.errors import AlreadyInSwarm, NoSwarm

from skep_adapters.docker_api import addresses
from skep_adapters.docker_api.answers import empty_answer, json_answer
from skep_adapters.docker_api.bodies import InitBody, JoinBody, UnlockBody
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.errors import NOT_IN_A_SWARM, ApiError, bad_request, not_implemented, rejection_text
from skep_adapters.docker_api.render_swarm import render_swarm

_SUBNET_SIZE = 24
_DATA_PATH_PORT = 4789


async def init(call: Call) -> web.StreamResponse:
    """Begin a swarm with this node as its only manager; answers the node's id."""
    body = await call.body(InitBody)
    if call.cluster.active and not body.force_new_cluster:
        raise AlreadyInSwarm
    listen = addresses.check_listen(body.listen_addr)
    spec = _initial(body)
    try:
        node_id = await call.cluster.swarm.init(
            spec,
            advertise_addr=addresses.check_advertise(body.advertise_addr),
            listen_addr=listen,
            availability=_availability(body.availability),
            default_addr_pool=addresses.check_pools(body.default_addr_pool, body.subnet_size or _SUBNET_SIZE),
            subnet_size=body.subnet_size or _SUBNET_SIZE,
            data_path_port=addresses.check_data_path_port(body.data_path_port) or _DATA_PATH_PORT,
            force_new_cluster=body.force_new_cluster,
            actor=call.actor,
        )
    except Rejected as error:
        if error.bare or error.code is not Code.INVALID_ARGUMENT:
            raise
        # Docker has begun the swarm by then and fails to update it
        raise ApiError(500, f"error updating cluster settings: {rejection_text(error)}") from None
    return json_answer(node_id)


async def join(call: Call) -> web.StreamResponse:
    """Refuse: an engine of skep's is no worker of another's swarm yet."""
    await call.body(JoinBody)
    if call.cluster.active:
        raise AlreadyInSwarm
    raise not_implemented("joining another swarm")


async def inspect(call: Call) -> web.StreamResponse:
    """Answer the swarm, with its join tokens in plain."""
    cluster = await call.read(_cluster)
    return json_answer(render_swarm(cluster, tokens=await call.cluster.swarm.tokens()))


async def update(call: Call) -> web.StreamResponse:
    """Give the swarm a new spec, and new tokens or a new unlock key where asked."""
    spec = await call.body(SwarmSpec)
    version = call.version("swarm")
    _refuse_signing_key(spec)
    await call.cluster.swarm.update(
        version,
        spec,
        rotate_worker_token=call.truth("rotateWorkerToken", short=True),
        rotate_manager_token=call.truth("rotateManagerToken", short=True),
        rotate_unlock_key=call.truth("rotateManagerUnlockKey", short=True),
        actor=call.actor,
    )
    return empty_answer()


async def leave(call: Call) -> web.StreamResponse:
    """End the swarm: this node is its last manager."""
    if not call.cluster.active:
        raise ApiError(503, NOT_IN_A_SWARM)
    await call.cluster.swarm.leave(force=call.lenient("force"), actor=call.actor)
    return empty_answer()


async def unlock_key(call: Call) -> web.StreamResponse:
    """Answer the key that opens a locked manager; empty if managers are not locked."""
    return json_answer({"UnlockKey": await call.cluster.swarm.unlock_key()})


async def unlock(call: Call) -> web.StreamResponse:
    """Refuse: a manager that answers is not locked."""
    await call.body(UnlockBody)
    if not call.cluster.active:
        raise NoSwarm
    raise ApiError(409, "swarm is not locked")


def _cluster(state: ClusterState) -> Cluster:
    if state.cluster is None:
        raise NoSwarm
    return state.cluster


def _initial(body: InitBody) -> SwarmSpec:
    spec = body.spec or SwarmSpec()
    if spec.name not in ("", "default"):
        raise bad_request('swarm spec must be named "default"')
    _refuse_signing_key(spec)
    if body.auto_lock_managers:
        return msgspec.structs.replace(spec, encryption_config=EncryptionConfig(auto_lock_managers=True))
    return spec


def _refuse_signing_key(spec: SwarmSpec) -> None:
    """Nothing secret may enter the log in plain (design, rule 8), and skep signs with its own root only."""
    if spec.ca_config is not None and spec.ca_config.signing_ca_key:
        raise not_implemented("signing certificates with a CA key of one's own")


def _availability(word: str) -> Availability:
    try:
        return Availability(word) if word else Availability.ACTIVE
    except ValueError:
        raise bad_request(f'invalid Availability: "{word}"') from None
