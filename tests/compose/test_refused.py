"""A file that is wrong is refused as a whole, in a sentence that names the file, the place in it, and the value."""

import time
from pathlib import Path

import pytest
from skep.ports.stack_files import StackFileError, StackRead
from skep_adapters.compose import ComposeFiles
from skep_adapters.compose.place import CHARACTERS_MAX, PORTS_MAX
from skep_adapters.compose.stack_files import DATA_BYTES_MAX, FILES_MAX
from skep_adapters.compose.yaml_text import DEPTH_MAX, FILE_BYTES_MAX


async def read(folder: Path, *texts: str, **env: str) -> StackRead:
    paths = []
    for number, text in enumerate(texts):
        paths.append(folder / f"{number}.yml")
        paths[-1].write_text(text)
    return await ComposeFiles().read(paths, name="app", env=env)


async def refusal(folder: Path, *texts: str, **env: str) -> str:
    with pytest.raises(StackFileError) as caught:
        await read(folder, *texts, **env)
    return str(caught.value)


def service(line: str, version: str = "3.13") -> str:
    return f'version: "{version}"\nservices:\n  web:\n    image: demo\n    {line}\n'


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("image: 5", "services.web.image: must be text, so put it in quotes, not 5"),
        ("imag: demo", "services.web.imag: is no property that is known here"),
        ("tty: yes", "services.web.tty: must be true or false, not 'yes'"),
        ("deploy: {replicas: two}", "services.web.deploy.replicas: must be a whole number, not 'two'"),
        ("deploy: {replicas: -1}", "services.web.deploy.replicas: must be a whole number, 0 or more, not -1"),
        ("deploy: {replicas: true}", "services.web.deploy.replicas: must be a whole number, not true"),
        ("deploy: {mode: glob}", "services.web.deploy.mode: must be replicated, global, replicated-job or global-job"),
        ("deploy: {mode: global, replicas: 2}", "services.web.deploy.replicas: belong to the modes replicated"),
        ("deploy: {update_config: {order: up}}", "update_config.order: must be start-first or stop-first, not 'up'"),
        (
            "deploy: {resources: {limits: {memory: 5X}}}",
            "limits.memory: must be a size such as 50M or 1.5GiB, not '5X'",
        ),
        ("deploy: {resources: {limits: {cpus: 1/0}}}", "limits.cpus: must be a number of CPUs such as 0.5"),
        ("deploy: {resources: {limits: {cpus: '0.0000000001'}}}", "must be a number of CPUs such as 0.5"),
        ("stop_grace_period: 5", "services.web.stop_grace_period: must be text, so put it in quotes, not 5"),
        (
            "stop_grace_period: 5x",
            "services.web.stop_grace_period: must be a duration such as 1m30s or 500ms, not '5x'",
        ),
        ("ports: 80", "services.web.ports: must be a list, not 80"),
        ("ports: [a]", "services.web.ports[0]: must be a port such as 8080:80"),
        ("ports: ['80:80/icmp']", "services.web.ports[0]: must be a port such as 8080:80"),
        ("ports: ['99999:80']", "services.web.ports[0]: must be a port such as 8080:80"),
        ("ports: ['host:80:80']", "services.web.ports[0]: must be a port such as 8080:80"),
        ("ports: ['80-82:80-81']", "services.web.ports[0]: must be a port whose two ranges are of one length"),
        ("ports: [{target: 70000}]", "services.web.ports[0].target: must be a port of at most 65535, not 70000"),
        ("volumes: ['aa:bb:cc:dd']", "services.web.volumes[0]: must be a volume such as data:/data"),
        ("volumes: ['data:/data']", "services.web.volumes[0]: volume 'data' is not among the file's volumes"),
        ("volumes: [{target: /data}]", "services.web.volumes[0]: needs a type"),
        ("volumes: [{type: disk, target: /data}]", "services.web.volumes[0].type: must be volume or bind or tmpfs"),
        ("volumes: [{type: bind, target: /data}]", "services.web.volumes[0]: needs a source, as every bind does"),
        ("volumes: [{type: tmpfs, target: /d, bind: {}}]", "volumes[0].bind: are options that no tmpfs has"),
        ("networks: [back]", "services.web.networks: network 'back' is not among the file's networks"),
        ("secrets: [s]", "services.web.secrets[0]: secret 's' is not among the file's secrets"),
        ("configs: [c]", "services.web.configs[0]: config 'c' is not among the file's configs"),
        ("environment: {A: true}", "services.web.environment.A: must be text, so put it in quotes, not true"),
        ("cap_add: [A, A]", "services.web.cap_add[1]: 'A' stands here twice"),
        ('command: "a \'b"', "services.web.command: cannot be split into words: no closing quotation"),
        ("ulimits: {nofile: {soft: 1}}", "services.web.ulimits.nofile: needs both soft and hard"),
        ("healthcheck: {test: a, disable: true}", "services.web.healthcheck: cannot have a test and be disabled"),
        ("credential_spec: {file: a, registry: b}", "credential_spec: can be only one of file and registry"),
        ("restart: sometimes", "services.web.restart: must be no, always, unless-stopped"),
        ("env_file: nowhere.env", "services.web.env_file[0]: "),
        ("extends: {service: a}", "services.web.extends: is no property of version 3: give several files instead"),
        ("mem_limit: 5m", "services.web.mem_limit: is said by deploy.resources"),
        ("hostname: ${", "services.web.hostname: must be text in which every $ begins a variable, or is written $$"),
        ("hostname: ${A:?it is a must}", "services.web.hostname: variable A is required: it is a must"),
        ("hostname: ${A?}", "services.web.hostname: variable A is required: it has no value"),
        ("tty: ${WORD}", "services.web.tty: must be true or false, not 'word'"),
        ("oom_score_adj: ${WORD}", "services.web.oom_score_adj: must be a whole number, not 'word'"),
    ],
)
async def test_what_is_wrong_is_named(line: str, sentence: str, tmp_path: Path) -> None:
    said = await refusal(
        tmp_path, service(line).replace("    image: demo\n", "", line.startswith("image")), WORD="word"
    )
    assert said.startswith("0.yml: ")
    assert sentence in said


@pytest.mark.parametrize(
    ("line", "minor"),
    [
        ("init: true", 7),
        ("isolation: default", 5),
        ("deploy: {rollback_config: {}}", 7),
        ("deploy: {endpoint_mode: vip}", 2),
        ("healthcheck: {start_period: 1s}", 4),
        ("configs: []", 3),
        ("x-own: 1", 7),
    ],
)
async def test_a_property_is_there_since_its_version(line: str, minor: int, tmp_path: Path) -> None:
    await read(tmp_path, service(line, f"3.{minor}"))
    said = await refusal(tmp_path, service(line, f"3.{minor - 1}"))
    assert f"since version 3.{minor}" in said or "no property" in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a", "0.yml: must be a mapping at its top"),
        ("a: [", "0.yml: line 1: "),
        ("a: 1\na: 2", "0.yml: line 2: 'a' stands here twice"),
        ("services: {1: {}}", "0.yml: line 1: a key must be text: put it in quotes"),
        ("version: 3.8", 'version: must be text such as "3.8", not 3.8'),
        ('version: "2.4"', "version: must be 3 or 3.0 to 3.13, not '2.4'"),
        ('version: "3.14"', "version: must be 3 or 3.0 to 3.13, not '3.14'"),
        ("services: {a b: {image: x}}", "services: 'a b' cannot be a name here"),
        ("services: {web: {}}", "services.web: needs an image"),
        ("secrets: {s: {}}", "secrets.s: needs a file, or to be external"),
        ("secrets: {s: {file: nowhere}}", "secrets.s.file: "),
        ("secrets: {s: {file: a, driver: b}}", "secrets.s: has a driver and a file"),
        ("configs: {c: {file: ./}}", "configs.c.file: "),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("x-a: " + "[" * (DEPTH_MAX + 5) + "]" * (DEPTH_MAX + 5), f"is nested deeper than {DEPTH_MAX}"),
        ("x-a: " + "[" * 5000, "is nested too deep"),
        ("x-a: !!bool x", "line 1: 'x' is neither true nor false"),
        ("x-a: !!int {a: b}", "line 1: expected a scalar node"),
        ("x-a: !!map [a]", "line 1: is no mapping, as its tag says"),
        ("x-a: &a {<<: *a}", "is nested too deep"),
        ("#" * (FILE_BYTES_MAX + 1), f"is larger than {FILE_BYTES_MAX} bytes"),
    ],
)
async def test_a_file_that_is_none_is_refused(text: str, sentence: str, tmp_path: Path) -> None:
    assert sentence in await refusal(tmp_path, text)


async def test_aliases_do_not_make_much_of_little(tmp_path: Path) -> None:
    rows = ["x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    rows += [f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "has more than 100000 values" in await refusal(tmp_path, "\n".join(rows))


async def test_merges_do_not_make_much_of_little(tmp_path: Path) -> None:
    rows = ["x-0: &a0 {a: b}"]
    rows += [f"x-{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, 8)]
    assert "line 6: << brings more than 100000 values" in await refusal(tmp_path, "\n".join(rows))


async def test_short_ports_do_not_make_much_of_little(tmp_path: Path) -> None:
    said = await refusal(tmp_path, service("ports: ['1-65535', '1-65535', '1-65535', '1-65535/udp']"))
    assert f"services.web.ports[3]: makes more than {PORTS_MAX} ports of the file" in said


async def test_variables_that_aliases_repeat_do_not_make_much_of_little(tmp_path: Path) -> None:
    said = await refusal(tmp_path, f"x-a: &a $$ {'x' * 400_000}\nx-b: [{', '.join(['*a'] * 100)}]")
    assert f"makes more than {CHARACTERS_MAX} characters of the file's variables" in said


async def test_many_different_words_are_compared_in_no_time(tmp_path: Path) -> None:
    began = time.monotonic()
    await read(tmp_path, service(f"cap_add: [{', '.join(f'a{n}' for n in range(40_000))}]"))
    assert time.monotonic() - began < 12  # 25 s and more when each is held against all before it


async def test_an_alias_of_itself_is_refused(tmp_path: Path) -> None:
    assert "0.yml: " in await refusal(tmp_path, "x-a: &a [*a]")


async def test_what_a_file_names_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (DATA_BYTES_MAX + 1))
    assert "is larger than" in await refusal(tmp_path, "configs: {c: {file: large}}")
    (tmp_path / "e").write_text("A=1")
    many = "\n".join(f"  s{n}: {{image: x, env_file: e}}" for n in range(FILES_MAX))
    assert f"names more than {FILES_MAX} files" in await refusal(tmp_path, f"services:\n{many}")


async def test_files_of_two_versions_are_refused(tmp_path: Path) -> None:
    said = await refusal(tmp_path, service("tty: true", "3.8"), service("tty: true", "3.7"))
    assert said == "1.yml: version: is 3.7, and that of 0.yml 3.8"


async def test_no_file_is_refused() -> None:
    with pytest.raises(StackFileError, match="no stack file"):
        await ComposeFiles().read([], name="app", env={})
