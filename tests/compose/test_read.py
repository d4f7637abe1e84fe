"""What a stack file says is what the engine gets; where Docker's client has it otherwise, that is on purpose."""

from pathlib import Path

import pytest
from skep.model.container import Driver
from skep.model.service import ServiceSpec
from skep.ports.stack_files import StackFileError, StackRead
from skep_adapters.compose import ComposeFiles
from skep_adapters.compose.place import Place
from skep_adapters.compose.shapes import as_text
from skep_adapters.compose.variables import read_variables


async def read(folder: Path, text: str, *env_files: Path, **env: str) -> StackRead:
    path = folder / "stack.yml"
    path.write_text(text)
    return await ComposeFiles().read([path], name="app", env=env, env_files=env_files)


async def service(folder: Path, line: str, **env: str) -> ServiceSpec:
    got = await read(folder, f"services:\n  web:\n    image: demo\n    {line}\n", **env)
    return got.stack.services[0]


async def test_what_has_no_effect_is_told_as_by_the_client(tmp_path: Path) -> None:
    got = await read(
        tmp_path,
        "services:\n"
        "  a: {image: x, build: ., privileged: true, container_name: n}\n"
        "  b: {image: x, expose: [80], tmpfs: /tmp}\n",
    )
    assert got.warnings == (
        "Ignoring unsupported options: build, privileged, tmpfs",
        "Ignoring deprecated option container_name: the name of a container cannot be set.",
        "Ignoring deprecated option expose: services on the same network reach each other on any port.",
    )


@pytest.mark.parametrize(
    ("text", "env", "becomes"),
    [
        ("$A", {"A": "1"}, "1"),
        ("${A}b", {"A": "1"}, "1b"),
        ("$$A", {"A": "1"}, "$A"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A-d}", {"A": ""}, ""),
        ("${A-}", {}, ""),
        ("${A:?must-be}", {"A": "1"}, "1"),  # the client takes the dash for the beginning of a default
        ("${A}", {"A": "$B", "B": "2"}, "$B"),
        ("$A-b", {}, "b"),
    ],
)
async def test_variables_are_replaced_once(text: str, env: dict[str, str], becomes: str, tmp_path: Path) -> None:
    assert (await service(tmp_path, f'hostname: "{text}"', **env)).container.hostname == becomes


async def test_a_required_variable_is_required_whatever_its_reason_holds(tmp_path: Path) -> None:
    with pytest.raises(StackFileError, match="variable A is required: must-be-set"):
        await service(tmp_path, "hostname: ${A:?must-be-set}")


async def test_the_score_of_the_out_of_memory_killer_is_kept(tmp_path: Path) -> None:
    assert (await service(tmp_path, "oom_score_adj: -500")).container.oom_score_adj == -500


async def test_variables_come_of_files_too_and_those_given_stand_above(tmp_path: Path) -> None:
    one, two = tmp_path / "one.env", tmp_path / "two.env"
    one.write_text("A=1\nB=1\nC=1\n")
    two.write_text("B=2\nC=2\n")
    got = await read(tmp_path, 'services: {web: {image: demo, hostname: "$A$B$C"}}', one, two, C="3")
    assert got.stack.services[0].container.hostname == "123"


async def test_days_and_times_and_yes_are_text(tmp_path: Path) -> None:
    spec = await service(tmp_path, "environment: {A: 2001-01-01, B: 22:22, C: yes, D: 1_000, E: 010, F: 1e3, G: 0o10}")
    assert spec.container.env == ("A=2001-01-01", "B=22:22", "C=yes", "D=1000", "E=8", "F=1000", "G=8")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((1.0, "1"), (1.5, "1.5"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1.25e30, "1.25e+30")),
        *((0.0001, "0.0001"), (0.00001, "1e-05"), (-0.5, "-0.5"), (0.0, "0"), (float("inf"), "+Inf"), (7, "7")),
    ],
)
def test_numbers_become_text_as_in_go(value: float, text: str) -> None:
    assert as_text(value) == text


def test_files_of_variables() -> None:
    text = b'\xef\xbb\xbf# said\n\n  A=1 \nB\nC\nD="x"\r\nA=2=3\n'
    assert read_variables(text, "f", {"B": "b"}) == {"A": "2=3", "B": "b", "D": '"x"'}
    for wrong in (b"=x", b"A B=x", b"\xff"):
        with pytest.raises(StackFileError, match="f: "):
            read_variables(wrong, "f", {})


def test_a_place_is_written_as_a_path() -> None:
    assert Place("f").at("services").at("web").at("ports").at(0).at("target").shown == "services.web.ports[0].target"


async def test_a_secret_of_a_driver_needs_no_file(tmp_path: Path) -> None:
    got = await read(tmp_path, "secrets: {s: {driver: vault, driver_opts: {a: 1}, labels: [b=c]}}")
    (secret,) = got.stack.secrets
    assert (secret.spec.name, secret.data) == ("app_s", b"")
    assert secret.spec.driver == Driver("vault", {"a": "1"})
    assert secret.spec.labels == {"b": "c", "com.docker.stack.namespace": "app"}
