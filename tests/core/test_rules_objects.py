"""Names, secrets, configs, nodes and the swarm's own spec."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skep.core.rejected import Code, Rejected
from skep.core.rules.names import check_dns_name, check_file_name
from skep.core.rules.node import check_node, parse_availability, parse_role
from skep.core.rules.secret import check_config, check_secret
from skep.core.rules.swarm import check_swarm, stored_swarm, updated_swarm
from skep.model.container import Driver
from skep.model.node import NodeSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.states import Availability, Role
from skep.model.swarm import DEFAULT_SWARM_SPEC, CaConfig, OrchestrationConfig, SwarmSpec

SWARM_SPECS = json.loads((Path(__file__).parent / "recorded" / "swarm_specs.json").read_text())

NO_DNS_LABEL = "name must be valid as a DNS name component"
NO_FILE_NAME = (
    "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]"
)


def refusal(check: Any, *arguments: Any, **options: Any) -> Rejected | None:
    try:
        check(*arguments, **options)
    except Rejected as rejected:
        return rejected
    return None


def words(check: Any, *arguments: Any) -> str | None:
    rejected = refusal(check, *arguments)
    return None if rejected is None else str(rejected)


def test_a_service_s_name_is_a_dns_label_in_which_underscores_and_capitals_may_be() -> None:
    for name in ("web", "a", "A_b-c", "0", "a" * 63, "app_web", "a--b"):
        assert words(check_dns_name, name) is None
    for name in ("-bad", "bad name", "dot.name", "bad_", "x\n", "ü"):
        assert words(check_dns_name, name) == NO_DNS_LABEL
    assert words(check_dns_name, "a" * 64) == "name must be 63 characters or fewer"
    assert words(check_dns_name, "") == "name must be provided"


def test_a_secret_s_name_may_have_dots_and_64_characters() -> None:
    for name in ("sec1", "a", "a.b-c_d", "a" * 64):
        assert words(check_file_name, name) is None
    for name in ("bad name", ".a", "a-", "a" * 65, "x\n"):
        assert words(check_file_name, name) == NO_FILE_NAME
    assert words(check_file_name, "") == "name must be provided"


@given(st.text(alphabet="aA0-_.", max_size=70))
def test_what_is_a_service_s_name_is_a_secret_s_too(name: str) -> None:
    if words(check_dns_name, name) is None:
        assert words(check_file_name, name) is None


def test_names_of_any_length_are_judged_at_once() -> None:
    assert words(check_dns_name, "a-" * 100_000) == NO_DNS_LABEL
    assert words(check_file_name, "a-" * 100_000) == NO_FILE_NAME


@pytest.mark.parametrize(("size", "taken"), [(0, False), (1, True), (511_999, True), (512_000, False)])
def test_a_secret_is_smaller_than_512000_bytes(size: int, *, taken: bool) -> None:
    message = "secret data must be larger than 0 and less than 512000 bytes"
    assert words(check_secret, SecretSpec(name="s"), size) == (None if taken else message)


@pytest.mark.parametrize(("size", "taken"), [(0, False), (1, True), (1_023_999, True), (1_024_000, False)])
def test_a_config_is_smaller_than_1024000_bytes(size: int, *, taken: bool) -> None:
    message = "config data must be larger than 0 and less than 1024000 bytes"
    assert words(check_config, ConfigSpec(name="c", data=b"x" * size)) == (None if taken else message)


def test_the_name_is_looked_at_before_the_data() -> None:
    assert words(check_secret, SecretSpec(), 0) == "name must be provided"
    assert words(check_config, ConfigSpec()) == "name must be provided"


def test_a_secret_of_a_driver_needs_its_plugin() -> None:
    rejected = refusal(check_secret, SecretSpec(name="dsec2", driver=Driver(name="bogus")), 0)
    assert rejected is not None
    assert (str(rejected), rejected.code, rejected.bare) == ('plugin "bogus" not found', Code.UNKNOWN, False)


def test_a_node_has_a_role_and_an_availability() -> None:
    whole = NodeSpec(role=Role.WORKER, availability=Availability.DRAIN, labels={"": "anything"})
    assert words(check_node, whole) is None
    assert words(check_node, NodeSpec(availability=Availability.ACTIVE)) == 'invalid Role: ""'
    assert words(check_node, NodeSpec(role=Role.WORKER)) == 'invalid Availability: ""'


def test_an_unknown_role_or_availability_is_answered_bare() -> None:
    for parse, word, message in (
        (parse_role, "boss", 'invalid Role: "boss"'),
        (parse_availability, "sleepy", 'invalid Availability: "sleepy"'),
    ):
        rejected = refusal(parse, word)
        assert rejected is not None
        assert (str(rejected), rejected.bare) == (message, True)
    assert parse_role("Manager") is Role.MANAGER
    assert parse_availability("pause") is Availability.PAUSE


@pytest.mark.parametrize("row", SWARM_SPECS, ids=[f"{row['scenario']}-{row['step']}" for row in SWARM_SPECS])
def test_a_swarm_s_spec_is_stored_or_refused_as_recorded(row: Any) -> None:
    sent = msgspec.convert(row["sent"], SwarmSpec)
    rejected = refusal(check_swarm, sent, new=row["new"])
    if rejected is not None:
        assert (str(rejected) if rejected.bare else f"rpc error: code = {rejected.code} desc = {rejected}") == row[
            "message"
        ]
        return
    assert row["status"] == 200
    kept = stored_swarm(sent) if row["new"] else updated_swarm(sent)
    assert msgspec.to_builtins(kept) == msgspec.to_builtins(msgspec.convert(row["stored"], SwarmSpec))


def test_an_explicit_limit_of_0_is_said() -> None:
    kept = stored_swarm(SwarmSpec(orchestration=OrchestrationConfig(task_history_retention_limit=0)))
    assert kept.orchestration == OrchestrationConfig(task_history_retention_limit=0)
    assert stored_swarm(SwarmSpec()) == DEFAULT_SWARM_SPEC


def test_what_a_swarm_stored_it_stores_again() -> None:
    assert updated_swarm(DEFAULT_SWARM_SPEC) == DEFAULT_SWARM_SPEC


@pytest.mark.parametrize("new", [True, False])
def test_a_signing_key_is_refused_and_is_not_in_the_answer(*, new: bool) -> None:
    spec = SwarmSpec(name="default", ca_config=CaConfig(signing_ca_cert="cert", signing_ca_key="the key itself"))
    refused = refusal(check_swarm, spec, new=new)
    assert refused is not None
    assert refused.code is Code.UNIMPLEMENTED
    assert "CAConfig.SigningCAKey" in str(refused)
    assert "the key itself" not in str(refused)
