"""The small languages: Go's JSON, its timestamps, truths, filters, addresses."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from skep.model.ids import Instant
from skep.model.node import NodeSpec
from skep.model.service import ServiceSpec
from skep.model.swarm import SwarmSpec
from skep_adapters.docker_api import addresses, go_json, go_types, query
from skep_adapters.docker_api.bodies import InitBody, JoinBody, SecretBody, UnlockBody
from skep_adapters.docker_api.decode import decode
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.filters import Filters, parse
from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.times import parse_timestamp, rfc3339, rfc3339_fixed

#: value, struct, path within the container, type
PLACE = "{} into Go struct field {}.TaskTemplate.ContainerSpec.{} of type {}"


def refusal(kind: Any, body: str) -> str:
    with pytest.raises(ApiError) as error:
        decode(kind, body.encode())
    assert error.value.status == 400
    return str(error.value)


def plain(value: Any) -> Any:
    """What `json.loads` makes of a value that was parsed with its members in order."""
    if isinstance(value, go_json.Members):
        return {k: plain(v) for k, v in value}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return json.loads(value) if isinstance(value, go_json.Number) else value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_is_read_as_it_is(value: Any) -> None:
    assert plain(go_json.parse(json.dumps(value).encode())) == value


@given(st.binary(max_size=30) | st.text(alphabet='{}[]":,\\u0123eE+-.truefalsn ', max_size=30).map(str.encode))
def test_anything_else_is_refused_with_a_sentence(raw: bytes) -> None:
    said = ""
    try:
        go_json.parse(raw)
    except EOFError:
        assert not raw.strip(b" \t\r\n")
    except ApiError as error:
        said = str(error)
    assert not said or said.startswith(("unexpected EOF", "invalid character "))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not", "invalid character 'o' in literal null (expecting 'u')"),
        ("tru", "unexpected EOF"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ("-x", "invalid character 'x' in numeric literal"),
        ("[1.]", "invalid character ']' after decimal point in numeric literal"),
        ("[1e+]", "invalid character ']' in exponent of numeric literal"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":1 2}', "invalid character '2' after object key:value pair"),
        ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ("[1 2]", "invalid character '2' after array element"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ('["\\x"]', "invalid character 'x' in string escape code"),
        ('["\\u12g4"]', "invalid character 'g' in \\u hexadecimal character escape"),
        ('["a\nb"]', "invalid character '\\n' in string literal"),
        ("{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        ("[" * 100_000, "invalid character '[' exceeded max depth"),
        ('{"a":' * 20_000, "invalid character '{' exceeded max depth"),
        ("é", "invalid character 'Ã' looking for beginning of value"),
    ],
)
def test_what_is_no_json_is_refused_in_gos_words(text: str, words: str) -> None:
    with pytest.raises(ApiError) as error:
        go_json.parse(text.encode())
    assert str(error.value) == words


def test_keys_match_whatever_their_case_and_the_last_wins() -> None:
    spec = decode(ServiceSpec, b'{"Name":"lower","name":"dup","tasktemplate":{"containerspec":{"IMAGE":"a"}}}')
    assert (spec.name, spec.container.image) == ("dup", "a")


def test_null_is_nothing_said_and_unknown_keys_are_passed_over() -> None:
    assert decode(ServiceSpec, b'{"Name":null,"Labels":null,"Nope":[{}],"Mode":null}') == ServiceSpec()
    assert decode(ServiceSpec, b"null trailing") == ServiceSpec()


def test_a_null_in_a_list_is_the_types_zero() -> None:
    spec = decode(ServiceSpec, b'{"TaskTemplate":{"ContainerSpec":{"Args":["a",null],"Labels":{"a":null}}}}')
    assert spec.container.args == ("a", "")
    assert spec.container.labels == {"a": ""}


def test_half_a_surrogate_pair_cannot_reach_the_log() -> None:
    spec = decode(ServiceSpec, b'{"Name":"a\\ud800b","Labels":{"\\udfff":"\\ud83d\\ude00"}}')
    assert spec.name == "a\ufffdb"
    assert spec.labels == {"\ufffd": "\U0001f600"}
    assert json.dumps(render(spec)).encode()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            '{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"Type":5}]}}}',
            "number into Go struct field Mount.TaskTemplate.ContainerSpec.Mounts.Type of type mount.Type",
        ),
        (
            '{"TaskTemplate":{"ContainerSpec":{"Mounts":[5]}}}',
            "number into Go struct field ContainerSpec.TaskTemplate.ContainerSpec.Mounts of type mount.Mount",
        ),
        ('{"TaskTemplate":[]}', "array into Go struct field ServiceSpec.TaskTemplate of type swarm.TaskSpec"),
        ('{"Labels":[]}', "array into Go struct field ServiceSpec.Labels of type map[string]string"),
        ('{"Labels":{"a":{}}}', "object into Go struct field ServiceSpec.Labels of type string"),
        (
            '{"TaskTemplate":{"ContainerSpec":{"TTY":1}}}',
            "number into Go struct field ContainerSpec.TaskTemplate.ContainerSpec.TTY of type bool",
        ),
        (
            '{"TaskTemplate":{"RestartPolicy":{"Delay":true}}}',
            "bool into Go struct field RestartPolicy.TaskTemplate.RestartPolicy.Delay of type time.Duration",
        ),
        (
            '{"TaskTemplate":{"ContainerSpec":{"Secrets":[{"File":{"Mode":-1}}]}}}',
            PLACE.format("number -1", "SecretReferenceFileTarget", "Secrets.File.Mode", "fs.FileMode"),
        ),
        (
            '{"TaskTemplate":{"ContainerSpec":{"Configs":[{"File":"x"}]}}}',
            PLACE.format("string", "ConfigReference", "Configs.File", "swarm.ConfigReferenceFileTarget"),
        ),
        (
            '{"UpdateConfig":{"MaxFailureRatio":"x"}}',
            "string into Go struct field UpdateConfig.UpdateConfig.MaxFailureRatio of type float32",
        ),
        (
            '{"Mode":{"Replicated":{"Replicas":1e3}}}',
            "number 1e3 into Go struct field ReplicatedService.Mode.Replicated.Replicas of type uint64",
        ),
        (
            '{"TaskTemplate":{"ForceUpdate":99999999999999999999}}',
            "number 99999999999999999999 into Go struct field TaskSpec.TaskTemplate.ForceUpdate of type uint64",
        ),
        ('{"Mode":{"Global":1}}', "number into Go struct field ServiceMode.Mode.Global of type swarm.GlobalService"),
    ],
)
def test_a_wrong_type_is_named_by_field_and_type(body: str, words: str) -> None:
    assert refusal(ServiceSpec, body) == f"json: cannot unmarshal {words}"


@pytest.mark.parametrize("kind", [InitBody, JoinBody, NodeSpec, SecretBody, ServiceSpec, SwarmSpec, UnlockBody])
def test_every_body_has_a_reader_and_gos_name(kind: Any) -> None:
    assert decode(kind, b"{}") == kind()
    assert refusal(kind, "[]") == f"json: cannot unmarshal array into Go value of type {go_types.STRUCTS[kind]}"


def test_a_secrets_data_is_in_no_repr() -> None:
    assert "hush" not in repr(SecretBody(name="s", data=b"hush"))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1_795_412_623_593_696_400, "2026-11-23T05:43:43.5936964Z"),
        (1_795_412_623_000_000_000, "2026-11-23T05:43:43Z"),
    ],
)
def test_instants_are_shown_without_trailing_zeros(at: int, text: str) -> None:
    assert rfc3339(Instant(at)) == text


def test_instants_of_lines_have_all_nine_digits() -> None:
    assert rfc3339_fixed(Instant(1_795_412_623_500_000_000)) == "2026-11-23T05:43:43.500000000Z"


@pytest.mark.parametrize(
    ("text", "at"), [("1", 1_000_000_000), ("2524608000.000000000", 2_524_608_000 * 10**9), ("1.5", 1_500_000_000)]
)
def test_timestamps_are_seconds_and_a_fraction(text: str, at: int) -> None:
    assert parse_timestamp(text) == at


def test_versions_are_64_bits() -> None:
    assert query.version("service", "18446744073709551615") == 2**64 - 1
    with pytest.raises(ApiError, match="value out of range"):
        query.version("service", "18446744073709551616")
    with pytest.raises(ApiError, match=r"^invalid config version$"):
        query.version("config", "")


@pytest.mark.parametrize("text", ['{"a":{"x":true,"y":true}}', '{"a":["x","y"]}'])
def test_filters_are_written_in_two_ways(text: str) -> None:
    assert parse(text, status=400).get("a") == ("x", "y")
    assert parse("", status=400).get("a") == ()


def test_filters_match_as_recorded() -> None:
    filters = Filters({"name": ("web", "db"), "label": ("tier=back", "x"), "mode": ("global",)})
    assert filters.prefix("name", "web2")
    assert not filters.prefix("name", "aweb")
    assert filters.prefix("id", "anything")
    assert filters.exact("mode", "global")
    assert not filters.exact("mode", "replicated")
    assert filters.labels("label", {"tier": "back", "x": "1"})
    assert not filters.labels("label", {"tier": "back"})
    assert not filters.labels("label", {"tier": "front", "x": "1"})
    assert not filters.labels("label", None)


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("", 400, 'invalid ListenAddr "": invalid empty address'),
        ("nope", 400, "listen address must be an IP address or network interface (with optional port number)"),
        (
            "1.2.3.4:99999",
            500,
            "manager stopped: failed to listen on remote API address: listen tcp: address 99999: invalid port",
        ),
    ],
)
def test_an_address_to_listen_on_is_checked(text: str, status: int, words: str) -> None:
    with pytest.raises(ApiError) as error:
        addresses.check_listen(text)
    assert (error.value.status, str(error.value)) == (status, words)


def test_an_address_to_advertise_may_be_an_interface_and_not_everybody() -> None:
    assert addresses.check_advertise("") == ""
    assert addresses.check_advertise("1.2.3.4") == "1.2.3.4"
    assert addresses.check_advertise("192.168.77.11:0") == "192.168.77.11:0"
    assert addresses.check_advertise("[fd00::1]:2377") == "[fd00::1]:2377"
    assert addresses.check_advertise("lo") == "127.0.0.1"
    for wrong in ("nope0", "300.1.1.1", "0.0.0.0"):  # noqa: S104  # an address that is refused
        with pytest.raises(ApiError, match="advertise address must be a non-zero IP address"):
            addresses.check_advertise(wrong)


def test_pools_and_data_ports_are_checked() -> None:
    assert addresses.check_pools(("10.20.0.0/16",), 24) == ("10.20.0.0/16",)
    with pytest.raises(ApiError, match=r'invalid CIDR: "10.0.0.0/8"\. Subnet size is too small for pool: 4'):
        addresses.check_pools(("10.0.0.0/8",), 4)
    for port in (80, 50_000):
        with pytest.raises(ApiError, match=rf"Datapath port number is not in valid range \(1024-49151\) : {port}"):
            addresses.check_data_path_port(port)


@pytest.mark.parametrize(
    ("text", "byte"),
    [
        ("?", 0),
        ("web", 0),
        ("eA==webs", 4),
        ("eHh4web", 4),
        ("eA=", 3),
        ("eA=A", 2),
        ("eA===", 4),
        ("eHg==", 4),
        ("e===", 1),
        ("=", 0),
        ("eHh4\nweb", 5),
        ("éé", 0),
    ],
)
def test_what_is_no_base64_is_refused_at_gos_byte(text: str, byte: int) -> None:
    assert refusal(SecretBody, json.dumps({"Data": text})) == f"illegal base64 data at input byte {byte}"


@given(st.binary(max_size=40), st.integers(1, 9))
def test_base64_is_read_as_it_is_wherever_its_lines_end(data: bytes, width: int) -> None:
    text = base64.b64encode(data).decode()
    lines = "\r\n".join(text[at : at + width] for at in range(0, len(text), width))
    assert decode(SecretBody, json.dumps({"Data": lines}).encode()).data == data


def test_what_cannot_be_printed_is_spelt_out_in_gos_quotes() -> None:
    assert go_json.quoted('a"\\\n\x1f\x7f\x85\U000cbc0aé\U0001f41d') == (
        r'"a\"\\\n\x1f\x7f\u0085\U000cbc0a' + 'é\U0001f41d"'
    )
