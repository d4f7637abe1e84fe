"""Engines with a bug each in what is not services: containers on networks, roots, tokens, keys, members, the end."""

import re
from collections.abc import Iterable

import pytest
from skep.core.commands import AttachContainer, Command, RemoveNetwork
from skep.core.decide import DECIDE
from skep.core.events import AttachmentCreated, Event, NetworkRemoved, SwarmLeft
from skep.core.fold import EVOLVE
from skep.core.rejected import Rejected
from skep.core.state import ClusterState
from skep.model.secret import Sealed
from skep.model.swarm import Cluster
from skep.runtime.agent_worker import Worker
from skep.runtime.membership import Membership
from skep.runtime.upkeep import Upkeep

from tests.sim.telling import told_by


def test_an_engine_that_removes_a_network_under_containers_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = DECIDE[RemoveNetwork]

    def careless(state: ClusterState, command: RemoveNetwork) -> tuple[Event, ...]:
        try:
            return decide(state, command)
        except Rejected:
            if "in use by task" not in str(_reason(state, command)):
                raise
            return (NetworkRemoved(command.network_id),)

    def _reason(state: ClusterState, command: Command) -> str:
        try:
            decide(state, command)
        except Rejected as error:
            return str(error)
        return ""

    monkeypatch.setitem(DECIDE, RemoveNetwork, careless)
    assert "a network that is unknown" in told_by(range(8))


def test_an_engine_that_lets_a_container_join_twice_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = DECIDE[AttachContainer]

    def generous(state: ClusterState, command: AttachContainer) -> tuple[Event, ...]:
        return tuple(event for event in decide(state, command) if isinstance(event, AttachmentCreated))

    monkeypatch.setitem(DECIDE, AttachContainer, generous)
    assert re.search("is on a network twice|is both .*'s and .*'s", told_by(range(16)))


def test_an_engine_that_replaces_the_root_too_early_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("skep.core.decide.swarm", "skep.runtime.upkeep"):
        monkeypatch.setattr(f"{where}.needs_certificate", lambda *_: False)
    assert re.search("the root was replaced, and .* has no certificate of the new one", told_by(range(8)))


def test_an_engine_that_tells_nobody_to_renew_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skep.runtime.dispatcher.needs_certificate", lambda *_: False)
    assert "does not come to rest: the root is being replaced" in told_by(range(8))


def test_an_engine_that_lets_anybody_in_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def trusting(*_: object) -> None:
        pass

    monkeypatch.setattr(Membership, "_check", trusting)
    assert "let in by a token that is worth nothing" in told_by(range(8))


def test_an_engine_that_certifies_whom_it_removed_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    issue, knows = Membership.renew, Membership.knows

    async def renew(self: Membership, *args: object) -> object:
        async def everybody(*_: object) -> bool:
            return True

        with monkeypatch.context() as blind:
            blind.setattr(Membership, "knows", everybody)
            return await issue(self, *args)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(Membership, "renew", renew)
    assert "was removed, and got a certificate" in told_by(range(8))
    assert Membership.knows is knows


def test_an_agent_that_goes_on_when_its_node_is_removed_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Worker, "remove_all", lambda _: None)
    assert re.search("node[0-9]+ does not run .*, and keeps", told_by(range(8)))


def test_an_engine_that_destroys_keys_too_early_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(self: Upkeep, candidates: Iterable[Sealed], _: Cluster) -> None:
        for sealed in list(candidates)[1:]:
            await self._keyring.destroy(sealed.key_id)

    monkeypatch.setattr(Upkeep, "_destroy_unneeded", hasty)
    assert re.search("these keys are needed and destroyed|does not come to rest", told_by(range(8)))


@pytest.mark.parametrize("where", ["swarm", "upkeep"])
def test_an_engine_that_keeps_old_keys_is_found_out(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Everything(dict[str, None]):
        def __contains__(self, _: object) -> bool:
            return True

    monkeypatch.setattr(f"skep.runtime.{where}.needed_keys", lambda _: Everything())
    words = "the former one can still be read|these keys are kept and nobody needs them"
    assert re.search(words, told_by(range(8)))


def test_an_engine_that_goes_on_when_the_swarm_was_left_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EVOLVE, SwarmLeft, lambda *_: None)
    assert re.search("cannot be left|was left", told_by(range(8)))
