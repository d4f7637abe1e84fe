"""What is asked of the swarm itself: init, inspect, update, leave, its tokens and keys."""

import msgspec
from aiohttp import web
from msgspec.structs import replace
from skep.core.rejected import Code, Rejected
from skep.core.state import ClusterState
from skep.model.states import Availability
from skep.model.swarm import CaConfig, Cluster, EncryptionConfig, SwarmSpec
from skep.runtime.errors import AlreadyInSwarm, NoSwarm

from skep_adapters.docker_api import addresses
from skep_adapters.docker_api.answers import empty_answer, json_answer
from skep_adapters.docker_api.bodies import InitBody, JoinBody, UnlockBody
from skep_adapters.docker_api.call import Call
from skep_adapters.docker_api.engine_membership import in_a_swarm
from skep_adapters.docker_api.errors import NOT_IN_A_SWARM, ApiError, bad_request, not_implemented, rejection_text
from skep_adapters.docker_api.render_swarm import render_swarm

#: An engine that joins needs less than a second. Where it cannot, the swarm is there all the same, and shows it.
READY_TIMEOUT_S = 10.0

_SUBNET_SIZE = 24
_DATA_PATH_PORT = 4789


async def init(call: Call) -> web.StreamResponse:
    """Begin a swarm with this node as its only manager; answers the node's id."""
    body = _as_spoken(call, await call.body(InitBody))
    if call.cluster.locked or (call.cluster.active and not body.force_new_cluster):
        raise AlreadyInSwarm
    if not call.cluster.active and await in_a_swarm(call):
        raise AlreadyInSwarm
    listen = addresses.check_listen(body.listen_addr)
    advertised = addresses.check_advertise(body.advertise_addr)
    data_path = addresses.check_data_path(body.data_path_addr)
    spec = _initial(body)
    try:
        node_id = await call.cluster.swarm.init(
            spec,
            advertise_addr=advertised or call.cluster.advertise_addr,
            listen_addr=listen,
            availability=_availability(body.availability),
            default_addr_pool=addresses.check_pools(body.default_addr_pool, body.subnet_size or _SUBNET_SIZE),
            subnet_size=body.subnet_size or _SUBNET_SIZE,
            data_path_port=addresses.check_data_path_port(body.data_path_port) or _DATA_PATH_PORT,
            data_path_addr=data_path,
            force_new_cluster=body.force_new_cluster,
            actor=call.actor,
        )
    except Rejected as error:
        if error.bare or error.code is not Code.INVALID_ARGUMENT:
            raise
        # Docker has begun the swarm by then and fails to update it
        raise ApiError(500, f"error updating cluster settings: {rejection_text(error)}") from None
    await call.cluster.ready(node_id, timeout_s=READY_TIMEOUT_S)
    return json_answer(node_id)


async def join(call: Call) -> web.StreamResponse:
    """Refuse: skep itself is no worker of another's swarm; a Docker Engine beside it may be, and answers then."""
    await call.body(JoinBody)
    if call.cluster.active or call.cluster.locked:
        raise AlreadyInSwarm
    raise not_implemented("joining another swarm")


async def inspect(call: Call) -> web.StreamResponse:
    """Answer the swarm, with its join tokens in plain."""
    cluster = await call.read(_cluster)
    return json_answer(render_swarm(cluster, resumed=call.cluster.resumed, tokens=await call.cluster.swarm.tokens()))


async def update(call: Call) -> web.StreamResponse:
    """Give the swarm a new spec, and new tokens or a new unlock key where asked."""
    spec = await call.body(SwarmSpec)
    version = call.version("swarm")
    _refuse_what_is_missing(spec)
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
    if not call.cluster.active and not call.cluster.locked:
        raise ApiError(503, NOT_IN_A_SWARM)
    await call.cluster.swarm.leave(force=call.lenient("force"), actor=call.actor)
    return empty_answer()


async def unlock_key(call: Call) -> web.StreamResponse:
    """Answer the key that opens a locked manager; empty if managers are not locked."""
    return json_answer({"UnlockKey": await call.cluster.swarm.unlock_key()})


async def unlock(call: Call) -> web.StreamResponse:
    """Unlock a manager that was started again; answers when its own node is ready, as `init` does."""
    body = await call.body(UnlockBody)
    await call.cluster.swarm.unlock(body.unlock_key)
    await call.cluster.ready(call.cluster.node_id, timeout_s=READY_TIMEOUT_S)
    return empty_answer()


def _cluster(state: ClusterState) -> Cluster:
    if state.cluster is None:
        raise NoSwarm
    return state.cluster


def _as_spoken(call: Call, body: InitBody) -> InitBody:
    """Return what a client says that does not have some fields yet: those are not read."""
    if call.before("1.39"):
        body = replace(body, default_addr_pool=(), subnet_size=0)
    return replace(body, data_path_port=0) if call.before("1.40") else body


def _initial(body: InitBody) -> SwarmSpec:
    spec = body.spec or SwarmSpec()
    if spec.name not in ("", "default"):
        raise bad_request('swarm spec must be named "default"')
    if body.auto_lock_managers:
        spec = msgspec.structs.replace(spec, encryption_config=EncryptionConfig(auto_lock_managers=True))
    _refuse_what_is_missing(spec)
    return spec


def _refuse_what_is_missing(spec: SwarmSpec) -> None:
    """Refuse a root of the user's own: its key may not enter the log in plain (design, rule 8).

    A CA outside is kept and shown, and not asked: the swarm's own root goes on to sign.
    """
    ca = spec.ca_config or CaConfig()
    for field, said in (("SigningCACert", ca.signing_ca_cert), ("SigningCAKey", ca.signing_ca_key)):
        if said:
            raise not_implemented(f"CAConfig.{field}: the swarm has a root of its own making, and no other")


def _availability(word: str) -> Availability:
    try:
        return Availability(word) if word else Availability.ACTIVE
    except ValueError:
        raise bad_request(f'invalid Availability: "{word}"') from None
