"""Who may join, and who gets a certificate."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from skep import Cluster
from skep.model.states import Availability, NodeState, Role
from skep.runtime.authority import new_token
from skep.runtime.certificates import NodeRole, identity_of
from skep.runtime.membership import Refusal, Refused

from tests.trust.requests import csr


def der(chain: str) -> bytes:
    return x509.load_pem_x509_certificates(chain.encode())[0].public_bytes(serialization.Encoding.DER)


async def test_a_joiner_is_a_worker_that_nobody_heard_yet() -> None:
    async with Cluster.open() as cluster:
        membership = cluster.engine.membership
        worker, _ = await cluster.swarm.tokens()
        request = csr()
        issued = await membership.admit(worker, request, addr="10.0.0.7", availability=Availability.DRAIN)
        assert membership.issued(issued.node_id) == issued
        assert issued.csr == request
        identity = identity_of(der(issued.certificate))
        swarm = await cluster.swarm.inspect()
        assert (identity.cluster_id, identity.node_id, identity.role) == (swarm.id, issued.node_id, NodeRole.WORKER)
        node = await cluster.nodes.get(issued.node_id)
        assert (node.spec.role, node.spec.availability) == (Role.WORKER, Availability.DRAIN)
        assert (node.status.state, node.status.addr) == (NodeState.UNKNOWN, "10.0.0.7")


@pytest.mark.parametrize("what", ["garbage", "another swarm's", "empty", "huge", "not ASCII"])
async def test_nobody_joins_without_a_token(what: str) -> None:
    async with Cluster.open() as cluster:
        membership = cluster.engine.membership
        root = (await cluster.swarm.inspect()).root.certificate
        token = {
            "garbage": "SWMTKN-1-garbage",
            "another swarm's": new_token(root),
            "empty": "",
            "huge": "x" * 100_000,
            "not ASCII": "SWMTKN-1-\u00e9",
        }[what]
        with pytest.raises(Refused, match="A valid join token is necessary") as refused:
            await membership.admit(token, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)
        assert refused.value.refusal is Refusal.INVALID
        assert len(await cluster.nodes.list()) == 1


async def test_an_engine_is_not_taken_as_a_manager() -> None:
    async with Cluster.open() as cluster:
        membership = cluster.engine.membership
        _, manager = await cluster.swarm.tokens()
        with pytest.raises(Refused, match="cannot be a manager"):
            await membership.admit(manager, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)


async def test_a_token_that_was_rotated_lets_nobody_in() -> None:
    async with Cluster.open() as cluster:
        membership = cluster.engine.membership
        old, _ = await cluster.swarm.tokens()
        swarm = await cluster.swarm.inspect()
        await cluster.swarm.update(swarm.version, swarm.spec, rotate_worker_token=True)
        with pytest.raises(Refused):
            await membership.admit(old, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)
        new, _ = await cluster.swarm.tokens()
        await membership.admit(new, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)


async def test_a_bad_request_makes_no_node() -> None:
    async with Cluster.open() as cluster:
        membership = cluster.engine.membership
        worker, _ = await cluster.swarm.tokens()
        with pytest.raises(Refused, match="no request for a certificate"):
            await membership.admit(worker, b"nothing", addr="10.0.0.7", availability=Availability.ACTIVE)
        assert len(await cluster.nodes.list()) == 1


async def test_a_node_that_was_removed_gets_no_certificate() -> None:
    async with Cluster.open() as cluster:
        membership = cluster.engine.membership
        worker, _ = await cluster.swarm.tokens()
        issued = await membership.admit(worker, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)
        assert identity_of(der((await membership.renew(issued.node_id, csr())).certificate)).node_id == issued.node_id
        await cluster.nodes.remove(issued.node_id, force=True)
        with pytest.raises(Refused) as refused:
            await membership.renew(issued.node_id, csr())
        assert refused.value.refusal is Refusal.FORBIDDEN


async def test_an_engines_own_token_is_good_once_and_for_its_node() -> None:
    async with Cluster.open() as cluster:
        membership = cluster.engine.membership
        token = await membership.own_token(cluster.node_id)
        issued = await membership.admit(token, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)
        assert issued.node_id == cluster.node_id
        assert identity_of(der(issued.certificate)).role is NodeRole.WORKER
        assert len(await cluster.nodes.list()) == 1
        with pytest.raises(Refused):
            await membership.admit(token, csr(), addr="10.0.0.7", availability=Availability.ACTIVE)


async def test_a_certificate_that_was_not_issued_is_not_found() -> None:
    async with Cluster.open() as cluster:
        membership = cluster.engine.membership
        with pytest.raises(Refused) as refused:
            membership.issued(cluster.node_id)
        assert refused.value.refusal is Refusal.UNKNOWN
