"""Which texts of a container are expanded: values of the environment, sources and targets of mounts, the hostname.

And labels and driver options of volumes that mounts make. Nothing else, so command and labels stand as they are.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from skep.core.template.context import Subject, context
from skep.core.template.evaluator import evaluate
from skep.core.template.formatting import quoted
from skep.core.template.functions import NAMES
from skep.core.template.mistake import TemplateError
from skep.core.template.parser import parse
from skep.core.template.values import Record
from skep.model.container import ContainerSpec, Mount, VolumeOptions

#: The most that one text may become: what Linux takes for one variable (MAX_ARG_STRLEN).
TEXT_BYTES_MAX = 128 * 1024


def is_templated(container: ContainerSpec) -> bool:
    """Say whether there may be something to expand."""
    options = [mount.volume_options for mount in container.mounts if mount.volume_options is not None]
    return (
        "{{" in container.hostname
        or any("{{" in entry for entry in container.env)
        or any("{{" in mount.source or "{{" in mount.target for mount in container.mounts)
        or any("{{" in value for each in options for said in _maps(each) for value in said.values())
    )


def expand_container(container: ContainerSpec, subject: Subject) -> ContainerSpec:
    """Return `container` as the task runs it.

    Raises:
        TemplateError: something in it cannot be expanded.
    """
    if not is_templated(container):
        return container
    data = context(subject)
    return replace(
        container,
        env=tuple(_entry(entry, data) for entry in container.env),
        mounts=tuple(_mount(mount, data) for mount in container.mounts),
        hostname=_text(container.hostname, data, "expanding hostname failed"),
    )


def _entry(entry: str, data: Record) -> str:
    name, equals, value = entry.partition("=")
    if not equals or "{{" not in value:
        return entry
    return f"{name}={_text(value, data, f'expanding env failed: expanding env {quoted(entry)}')}"


def _mount(mount: Mount, data: Record) -> Mount:
    doing = "expanding mounts failed: expanding"
    options = mount.volume_options
    return replace(
        mount,
        source=_text(mount.source, data, f"{doing} mount source {quoted(mount.source)}"),
        target=_text(mount.target, data, f"{doing} mount target {quoted(mount.target)}"),
        volume_options=None if options is None else _options(options, data, doing),
    )


def _options(options: VolumeOptions, data: Record, doing: str) -> VolumeOptions:
    driver = options.driver_config
    if driver is not None:
        driver = replace(driver, options=_map(driver.options, data, f"{doing} volume driver config"))
    return replace(options, labels=_map(options.labels, data, f"{doing} volume labels"), driver_config=driver)


def _map(said: Mapping[str, str], data: Record, doing: str) -> dict[str, str]:
    return {
        key: _text(value, data, f"{doing}: expanding map entry {quoted(key)}={quoted(value)}")
        for key, value in said.items()
    }


def _maps(options: VolumeOptions) -> tuple[Mapping[str, str], ...]:
    return (options.labels, options.driver_config.options if options.driver_config else {})


def _text(text: str, data: Record, doing: str) -> str:
    if "{{" not in text:
        return text
    try:
        return evaluate(parse(text, NAMES), data, size_max=TEXT_BYTES_MAX)
    except TemplateError as error:
        raise TemplateError(f"{doing}: {error}", error.place) from None
