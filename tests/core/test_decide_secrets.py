"""Secrets and configs: used ones stay, and only labels change (FACTS, chapter 2; scenario 14)."""

import pytest
import skep
from skep.core.commands import (
    Command,
    CreateConfig,
    CreateSecret,
    RemoveConfig,
    RemoveSecret,
    RollbackService,
    UpdateConfigObject,
    UpdateSecret,
)
from skep.core.events import ConfigUpdated, SecretRemoved, SecretUpdated
from skep.core.rejected import Code, Rejected
from skep.model.ids import ConfigId, Position, SecretId
from skep.model.secret import ConfigSpec, SecretSpec
from skep.testing.beginning import sealed
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising
from skep.testing.given import given

KEY, CONF = SecretId("key-id"), ConfigId("conf-id")
AN_OLD_ONE = CreateSecret(KEY, SecretSpec(name="key"), sealed("key"), 9)
A_CONFIG = CreateConfig(CONF, ConfigSpec(name="conf", data=b"a=1"))


def used() -> CoreSwarm:
    """A swarm in which two services use the secret and one the config."""
    swarm = CoreSwarm()
    swarm.submit(AN_OLD_ONE)
    swarm.submit(A_CONFIG)
    secrets, configs = [*swarm.state.secrets.values()], [*swarm.state.configs.values()]
    swarm.create(skep.service_spec("web", "demo", secrets=secrets, configs=configs))
    swarm.create(skep.service_spec("db", "demo", secrets=secrets))
    return swarm


def refused(swarm: CoreSwarm, command: Command) -> Rejected:
    with raising(Rejected) as caught:
        swarm.submit(command)
    assert isinstance(caught.error, Rejected)
    swarm.check_records()
    return caught.error


def test_a_secret_in_use_stays_and_the_refusal_names_its_users() -> None:
    error = refused(used(), RemoveSecret(KEY))
    assert str(error) == "secret 'key' is in use by the following services: web, db"
    assert error.code is Code.INVALID_ARGUMENT


def test_a_config_in_use_stays_and_the_refusal_names_its_user() -> None:
    assert str(refused(used(), RemoveConfig(CONF))) == "config 'conf' is in use by the following service: web"


def test_a_secret_that_nobody_uses_goes() -> None:
    swarm = CoreSwarm()
    swarm.submit(AN_OLD_ONE)
    given(*swarm.events()).when(RemoveSecret(KEY)).then(SecretRemoved(KEY))


@pytest.mark.parametrize(
    "command",
    [
        UpdateSecret(KEY, Position(4), SecretSpec(name="other")),
        UpdateSecret(KEY, Position(4), SecretSpec(name="key"), mac=b"of something else"),
        UpdateConfigObject(CONF, Position(5), ConfigSpec(name="other")),
        UpdateConfigObject(CONF, Position(5), ConfigSpec(name="conf", data=b"a=2")),
        UpdateSecret(KEY, Position(1), SecretSpec(name="other")),
        UpdateConfigObject(CONF, Position(1), ConfigSpec(name="conf", data=b"a=2")),
    ],
    ids=["secret name", "secret data", "config name", "config data", "secret, stale", "config, stale"],
)
def test_nothing_but_labels_may_change(command: Command) -> None:
    error = refused(used(), command)
    assert str(error) == "only updates to Labels are allowed"
    assert error.code is Code.INVALID_ARGUMENT


def test_labels_change_and_nothing_else_does() -> None:
    swarm = used()
    labels = {"a": "b"}
    swarm.submit(UpdateSecret(KEY, Position(4), SecretSpec(name="key", labels=labels), mac=b"mac of key"))
    swarm.submit(UpdateConfigObject(CONF, Position(5), ConfigSpec(labels=labels, data=b"a=1")))
    assert swarm.events(SecretUpdated) == [SecretUpdated(KEY, SecretSpec(name="key", labels=labels))]
    assert swarm.events(ConfigUpdated) == [ConfigUpdated(CONF, ConfigSpec(name="conf", labels=labels, data=b"a=1"))]
    swarm.check()


def test_a_name_is_had_once() -> None:
    error = refused(used(), CreateSecret(SecretId("x"), SecretSpec(name="key"), sealed("x"), 9))
    assert str(error) == "secret key already exists"
    assert error.code is Code.ALREADY_EXISTS


def test_what_is_not_there_is_not_found() -> None:
    assert str(refused(used(), RemoveSecret(SecretId("gone")))) == "secret gone not found"
    assert str(refused(used(), RemoveConfig(ConfigId("gone")))) == "config gone not found"


def test_what_only_the_spec_before_used_may_go_and_then_nothing_goes_back_to_it() -> None:
    """As in SwarmKit, only a service's present spec uses anything."""
    swarm = used()
    web, db = swarm.state.services.values()
    swarm.update(web.id, skep.service_spec("web", "demo"))
    swarm.update(db.id, skep.service_spec("db", "demo"))
    swarm.submit(RemoveSecret(KEY), RemoveConfig(CONF))
    assert str(refused(swarm, RollbackService(web.id, swarm.service(web.id).version))) == "secret not found: key"
    swarm.advance(60)
    assert swarm.running(web.id) == swarm.running(db.id) == 1
    swarm.check()


def test_an_object_of_the_same_name_is_not_the_one_that_was_removed() -> None:
    """A reference says both id and name: what a spec from before names is gone for good."""
    swarm = CoreSwarm()
    swarm.submit(AN_OLD_ONE)
    spec = skep.service_spec("web", "demo", secrets=[*swarm.state.secrets.values()])
    swarm.submit(RemoveSecret(KEY))
    swarm.submit(CreateSecret(SecretId("another"), SecretSpec(name="key"), sealed("another"), 9))
    with raising(Rejected) as caught:
        swarm.create(spec)
    assert str(caught) == "secret not found: key"
    swarm.check()
