"""What of a task is expanded, and with what: as recorded of Docker Engines (scenarios 14 and 23)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from skep.core.template.container import TEXT_BYTES_MAX, expand_container
from skep.core.template.context import Subject
from skep.core.template.mistake import TemplateError
from skep.core.template.payload import Surroundings, expand_payload
from skep.model.container import ContainerSpec, Driver, Mount, VolumeOptions

NODE = "nt29gdhlmwcvqu0zek2eo1jvk"
#: The task of scenario 23 that was looked at.
TASK = Subject(
    service_id="w7bm8y4bcfuqlps0tcjx0opxp",
    service_name="tpl",
    service_labels={"sl": "1"},
    node_id=NODE,
    node_hostname="node1",
    architecture="x86_64",
    os="linux",
    task_id="8bm30jutdo23npuu1e7gbgn33",
    task_name="tpl.1.8bm30jutdo23npuu1e7gbgn33",
    slot="1",
)
SURROUNDINGS = Surroundings({"sec1": b"s3cr3t", "two": b"{{.Task.Slot}}"}, {"cfg1": b"c0nf"}, ("A=envA", "B", "A=2"))


def payload(data: bytes, *, secret: bool = False, size_max: int = 1000) -> bytes:
    return expand_payload(data, TASK, SURROUNDINGS, size_max=size_max, secret=secret)


def test_a_container_is_expanded_as_recorded() -> None:
    container = ContainerSpec(
        labels={"cl": "{{.Task.Slot}}"},
        args=("echo", "{{.Task.Slot}}"),
        hostname="{{.Service.Name}}-{{.Task.Slot}}-{{.Node.Hostname}}",
        env=(
            *("SID={{.Service.ID}}", "SN={{.Service.Name}}", "SL={{.Service.Labels}}"),
            *('SL1={{index .Service.Labels "sl"}}', "NID={{.Node.ID}}", "NH={{.Node.Hostname}}"),
            *("NP={{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "TID={{.Task.ID}}"),
            *("TN={{.Task.Name}}", "TS={{.Task.Slot}}"),
        ),
        mounts=(
            Mount(type="volume", source="vol-{{.Task.Slot}}", target="/data"),
            Mount(type="bind", source="/tmp", target="/mnt-{{.Task.Slot}}"),  # noqa: S108 - a name
        ),
    )
    expanded = expand_container(container, TASK)
    assert expanded.env == (
        *("SID=w7bm8y4bcfuqlps0tcjx0opxp", "SN=tpl", "SL=map[sl:1]", "SL1=1", f"NID={NODE}", "NH=node1"),
        *("NP=linux/x86_64", "TID=8bm30jutdo23npuu1e7gbgn33", "TN=tpl.1.8bm30jutdo23npuu1e7gbgn33", "TS=1"),
    )
    assert expanded.hostname == "tpl-1-node1"
    assert [(mount.source, mount.target) for mount in expanded.mounts] == [("vol-1", "/data"), ("/tmp", "/mnt-1")]  # noqa: S108 - names
    assert (expanded.labels, expanded.args) == (container.labels, container.args)


def test_the_value_of_a_variable_is_expanded_and_its_name_is_not() -> None:
    container = ContainerSpec(env=("{{.Task.Slot}}={{.Task.Slot}}", "{{.Nope}}", "A=x=y"))
    assert expand_container(container, TASK).env == ("{{.Task.Slot}}=1", "{{.Nope}}", "A=x=y")


def test_labels_and_options_of_volumes_are_expanded() -> None:
    options = VolumeOptions(labels={"{{}}": "s-{{.Task.Slot}}"}, driver_config=Driver("nfs", {"o": "{{.Node.ID}}"}))
    container = ContainerSpec(mounts=(Mount(type="volume", target="/d", volume_options=options),))
    assert expand_container(container, TASK).mounts[0].volume_options == VolumeOptions(
        labels={"{{}}": "s-1"}, driver_config=Driver("nfs", {"o": NODE})
    )


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (ContainerSpec(hostname="{{.Nope}}"), "expanding hostname failed: template: expansion:1:2: "),
        (
            ContainerSpec(env=('X={{index "a" 2}}',)),
            'expanding env failed: expanding env "X={{index \\"a\\" 2}}": template: expansion:1:2: ',
        ),
        (
            ContainerSpec(mounts=(Mount(source="{{.Nope}}"),)),
            'expanding mounts failed: expanding mount source "{{.Nope}}": template: expansion:1:2: ',
        ),
        (
            ContainerSpec(mounts=(Mount(volume_options=VolumeOptions(labels={"k": "{{.Nope}}"})),)),
            'expanding mounts failed: expanding volume labels: expanding map entry "k"="{{.Nope}}": template: ',
        ),
        (ContainerSpec(env=("X=" + "{{1}}" + "x" * TEXT_BYTES_MAX,)), 'expanding env failed: expanding env "X={{1}}xx'),
    ],
)
def test_what_cannot_be_expanded_is_told_in_swarm_s_words(container: ContainerSpec, message: str) -> None:
    with pytest.raises(TemplateError) as raised:
        expand_container(container, TASK)
    assert str(raised.value).startswith(message)


def test_a_config_is_filled_in_as_recorded() -> None:
    # the node's name is empty there: Docker's engines do not tell it to configs
    data = b'n={{.Service.Name}} s={{.Task.Slot}} h={{.Node.Hostname}} e={{env "A"}} sec={{secret "sec1"}}'
    recorded = replace(TASK, service_name="use", slot="1")
    assert expand_payload(data, recorded, SURROUNDINGS, size_max=100, secret=False) == b"n=use s=1 h= e=envA sec=s3cr3t"
    assert payload(b"{{.Node.ID}}{{.Node.Platform}}") == NODE.encode() + b"{ }"


def test_what_a_payload_is_given_of_others_is_not_expanded() -> None:
    assert payload(b'{{secret "two"}} {{config "cfg1"}} {{env "B"}}{{env "NONE"}}|') == b"{{.Task.Slot}} c0nf |"


def test_secrets_and_configs_are_named_by_their_targets_only() -> None:
    with pytest.raises(TemplateError, match=r"error calling config: config target sec1 not found$"):
        payload(b'{{config "sec1"}}')
    with pytest.raises(TemplateError, match=r"^its template is wrong at line 1, column 2$"):
        payload(b'{{secret "cfg1"}}')


def test_bytes_of_a_payload_stay_as_they_are() -> None:
    assert payload(b"\x00\xff{{.Task.Slot}}\r\n") == b"\x00\xff1\r\n"


def test_a_payload_has_a_limit() -> None:
    assert payload(b"{{.Task.Slot}}" + b"x" * 9, size_max=10) == b"1xxxxxxxxx"
    with pytest.raises(TemplateError, match="becomes more than 10 bytes"):
        payload(b"{{.Task.Slot}}" + b"x" * 10, size_max=10)


@pytest.mark.parametrize(
    "text",
    [
        b"hunter2{{.hunter2}}",
        b"{{hunter2}}",
        b'{{"hunter2}}',
        b'{{index "hunter2" 99}}',
        b"{{range `hunter2`}}{{end}}",
        b"{{if}}hunter2",
        b'{{secret "hunter2"}}',
        b'{{config "hunter2"}}',
    ],
)
def test_a_mistake_in_a_secret_quotes_nothing_of_it(text: bytes) -> None:
    with pytest.raises(TemplateError, match=r"^its template is wrong at line 1") as raised:
        payload(text, secret=True)
    assert "hunter2" not in f"{raised.value!r}{raised.value.__context__!r}{raised.value.__cause__!r}"


@pytest.mark.parametrize(
    "text",
    [
        b'{{config (secret "sec1")}}',
        b'{{range secret "sec1"}}{{end}}',
        b'{{printf (secret "sec1") | index}}{{index (secret "sec1") 99}}',
        b'{{index .Service.Labels (len (secret "sec1"))}}',
    ],
)
def test_a_mistake_in_a_config_quotes_nothing_of_a_secret(text: bytes) -> None:
    with pytest.raises(TemplateError) as raised:
        payload(text)
    assert str(raised.value).startswith("its template is wrong at line 1, column ")
    assert raised.value.__context__ is None


@given(
    st.lists(st.sampled_from(["{{", "}}", "s3cr3t", 'secret "sec1"', "|", "print", ".", "(", ")", " "])).map("".join)
)
def test_no_mistake_in_a_secret_ever_quotes_it(text: str) -> None:
    try:
        payload(text.encode(), secret=True)
    except TemplateError as error:
        told = str(error)
    else:
        told = ""
    assert "s3cr3t" not in told


def test_nothing_shows_what_a_task_has_been_given() -> None:
    assert "s3cr3t" not in repr(SURROUNDINGS)
