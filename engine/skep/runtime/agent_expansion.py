"""Templates: what a task is given for them, just before it is prepared. The swarm goes on showing what was written.

- A text, secret or config that cannot be expanded rejects the task.
- Nothing that is secret is told of it (see `skep.core.template.payload`).
- Secrets and configs that the task does not reference are not handed on.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from skep.core.rules.secret import CONFIG_SIZE_LIMIT, SECRET_SIZE_LIMIT
from skep.core.template.container import expand_container, is_templated
from skep.core.template.context import Subject
from skep.core.template.mistake import TemplateError
from skep.core.template.payload import DRIVER, Surroundings, expand_payload
from skep.model.container import ContainerSpec, Driver
from skep.model.ids import ConfigId, SecretId
from skep.model.service import Platform
from skep.ports.executor import TaskRejected
from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask


class Expanded(Struct, frozen=True):
    """What an executor is given of a task."""

    task: AssignedTask
    secrets: Mapping[SecretId, AssignedSecret]
    configs: Mapping[ConfigId, AssignedConfig]


def expand(
    task: AssignedTask,
    secrets: Mapping[SecretId, AssignedSecret],
    configs: Mapping[ConfigId, AssignedConfig],
    *,
    platform: Callable[[], Platform | None],
) -> Expanded:
    """Return `task` with its templates expanded; `platform` is the node's, asked only where there is a template.

    Raises:
        TaskRejected: something cannot be expanded.
    """
    container = task.template.spec.container_spec
    if container is None:
        return Expanded(task, {}, {})
    own_secrets = {i: secrets[i] for i in (SecretId(r.secret_id) for r in container.secrets) if i in secrets}
    own_configs = {i: configs[i] for i in (ConfigId(r.config_id) for r in container.configs) if i in configs}
    payloads: list[AssignedSecret | AssignedConfig] = [*own_secrets.values(), *own_configs.values()]
    if not is_templated(container) and all(each.templating is None for each in payloads):
        return Expanded(task, own_secrets, own_configs)
    subject = _subject(task, platform() or Platform())
    surroundings = _surroundings(container, own_secrets, own_configs)
    return Expanded(
        _with_container(task, _container(container, subject)),
        {i: _secret(each, subject, surroundings) for i, each in own_secrets.items()},
        {i: _config(each, subject, surroundings) for i, each in own_configs.items()},
    )


def _subject(task: AssignedTask, platform: Platform) -> Subject:
    return Subject(
        service_id=task.service_id,
        service_name=task.service_name,
        service_labels=task.service_labels,
        node_id=task.node_id,
        node_hostname=task.node_hostname,
        architecture=platform.architecture,
        os=platform.os,
        task_id=task.id,
        task_name=task.name,
        slot=task.name_in_slot,
    )


def _surroundings(
    container: ContainerSpec, secrets: Mapping[SecretId, AssignedSecret], configs: Mapping[ConfigId, AssignedConfig]
) -> Surroundings:
    return Surroundings(
        secrets={
            r.file.name: secrets[SecretId(r.secret_id)].data
            for r in container.secrets
            if r.file is not None and r.secret_id in secrets
        },
        configs={
            r.file.name: configs[ConfigId(r.config_id)].data
            for r in container.configs
            if r.file is not None and r.config_id in configs
        },
        env=container.env,
    )


def _container(container: ContainerSpec, subject: Subject) -> ContainerSpec:
    try:
        return expand_container(container, subject)
    except TemplateError as error:
        raise TaskRejected(str(error)) from None


def _with_container(task: AssignedTask, container: ContainerSpec) -> AssignedTask:
    spec = replace(task.template.spec, container_spec=container)
    return replace(task, template=replace(task.template, spec=spec))


def _secret(secret: AssignedSecret, subject: Subject, surroundings: Surroundings) -> AssignedSecret:
    if secret.templating is None:
        return secret
    doing = f"failed to expand templated secret {secret.id} ({secret.name})"
    _check_driver(secret.templating, doing)
    try:
        data = expand_payload(secret.data, subject, surroundings, size_max=SECRET_SIZE_LIMIT - 1, secret=True)
    except TemplateError as error:
        raise TaskRejected(f"{doing}: {error}") from None
    return AssignedSecret(secret.id, secret.name, data)


def _config(config: AssignedConfig, subject: Subject, surroundings: Surroundings) -> AssignedConfig:
    if config.templating is None:
        return config
    doing = f"failed to expand templated config {config.id} ({config.name})"
    _check_driver(config.templating, doing)
    try:
        data = expand_payload(config.data, subject, surroundings, size_max=CONFIG_SIZE_LIMIT - 1, secret=False)
    except TemplateError as error:
        raise TaskRejected(f"{doing}: {error}") from None
    return AssignedConfig(config.id, config.name, data)


def _check_driver(driver: Driver, doing: str) -> None:
    if driver.name != DRIVER:
        raise TaskRejected(f"{doing}: unrecognized template type")
