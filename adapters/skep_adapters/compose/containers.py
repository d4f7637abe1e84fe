"""The container of a service: what a stack file says of it, as the engine has it."""

from collections.abc import Mapping
from typing import Any

from skep.core.rules.image import familiar
from skep.model.container import (
    ConfigReference,
    ContainerSpec,
    CredentialSpec,
    DnsConfig,
    FileTarget,
    HealthConfig,
    Privileges,
    SecretReference,
    Ulimit,
)

from skep_adapters.compose.mounts import mounts_of
from skep_adapters.compose.naming import labelled, scoped
from skep_adapters.compose.place import Place

_READABLE = 0o444

_ALL, _RESET = "ALL", "RESET"


def container_of(stack: str, said: Mapping[str, Any], file: Mapping[str, Any], place: Place) -> ContainerSpec:
    """Return the container of a service, whose secrets and configs are named and not yet known by id."""
    added, dropped = _capabilities(said.get("cap_add", ()), said.get("cap_drop", ()))
    credential = _credential(said, file, place)
    return ContainerSpec(
        image=familiar(said["image"]),
        labels=labelled(stack, said.get("labels")),
        command=tuple(said.get("entrypoint", ())),
        args=tuple(said.get("command", ())),
        hostname=said.get("hostname", ""),
        env=tuple(sorted(k if v is None else f"{k}={v}" for k, v in said.get("environment", {}).items())),
        dir=said.get("working_dir", ""),
        user=said.get("user", ""),
        privileges=Privileges(credential_spec=_named_credential(stack, credential, file)),
        init=said.get("init"),
        stop_signal=said.get("stop_signal", ""),
        tty=said.get("tty", False),
        open_stdin=said.get("stdin_open", False),
        read_only=said.get("read_only", False),
        mounts=mounts_of(stack, said.get("volumes", ()), file.get("volumes", {}), place.at("volumes")),
        stop_grace_period=said.get("stop_grace_period"),
        healthcheck=_health(said["healthcheck"], place.at("healthcheck")) if "healthcheck" in said else None,
        hosts=tuple(_host(one) for one in said.get("extra_hosts", ())),
        dns_config=_dns(said),
        secrets=_secrets(stack, said, file, place.at("secrets")),
        configs=_configs(stack, said, file, place),
        isolation=said.get("isolation", ""),
        sysctls=said.get("sysctls", {}),
        capability_add=added,
        capability_drop=dropped,
        ulimits=tuple(Ulimit(name, one["hard"], one["soft"]) for name, one in sorted(said.get("ulimits", {}).items())),
        oom_score_adj=said.get("oom_score_adj", 0),
    )


def _dns(said: Mapping[str, Any]) -> DnsConfig | None:
    if "dns" not in said and "dns_search" not in said:
        return None
    return DnsConfig(nameservers=tuple(said.get("dns", ())), search=tuple(said.get("dns_search", ())))


def _host(pair: str) -> str:
    """Return a host as a swarm writes it: the address first."""
    name, _, address = pair.partition(":")
    return f"{address} {name}"


def _health(said: Mapping[str, Any], place: Place) -> HealthConfig:
    if said.get("disable"):
        if said.get("test"):
            place.refuse("cannot have a test and be disabled")
        return HealthConfig(test=("NONE",))
    return HealthConfig(
        test=tuple(said.get("test", ())),
        interval=said.get("interval", 0),
        timeout=said.get("timeout", 0),
        start_period=said.get("start_period", 0),
        start_interval=said.get("start_interval", 0),
        retries=said.get("retries", 0),
    )


def _capabilities(add: list[str], drop: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is added and what is dropped, by their full names; what is in both is added."""
    added, dropped = ({_capability(one): None for one in names} for names in (add, drop))
    added, dropped = ({_ALL: None} if _ALL in names else names for names in (added, dropped))
    return (
        tuple(sorted(one for one in added if one != _RESET)),
        tuple(sorted(one for one in dropped if one != _RESET and one not in added)),
    )


def _capability(name: str) -> str:
    name = name.strip().upper()
    return name if name in (_ALL, _RESET) or name.startswith("CAP_") else f"CAP_{name}"


def _secrets(stack: str, said: Mapping[str, Any], file: Mapping[str, Any], place: Place) -> tuple[SecretReference, ...]:
    references = [
        SecretReference(target, secret_name=name)
        for name, target in _targets(stack, "secret", said.get("secrets", ()), file.get("secrets", {}), place)
    ]
    return tuple(sorted(references, key=lambda one: one.secret_name))


def _configs(stack: str, said: Mapping[str, Any], file: Mapping[str, Any], place: Place) -> tuple[ConfigReference, ...]:
    configs = file.get("configs", {})
    references = [
        ConfigReference(target, config_name=name)
        for name, target in _targets(stack, "config", said.get("configs", ()), configs, place.at("configs"))
    ]
    source = said.get("credential_spec", {}).get("config")
    if source:
        references.append(ConfigReference(runtime={}, config_name=scoped(stack, source, configs.get(source))))
    return tuple(sorted(references, key=lambda one: one.config_name))


def _targets(
    stack: str, kind: str, references: list[dict[str, Any]], known: Mapping[str, Any], place: Place
) -> list[tuple[str, FileTarget]]:
    """Return the full name of each secret or config that a service uses, and where it appears."""
    targets: dict[str, tuple[str, FileTarget]] = {}
    for index, one in enumerate(references):
        source = one.get("source", "")
        if source not in known:
            place.at(index).refuse(f"{kind} {source!r} is not among the file's {kind}s")
        target = one.get("target") or source
        if target in targets:
            place.at(index).refuse(f"another {kind} appears at {target!r} already")
        file = FileTarget(target, one.get("uid") or "0", one.get("gid") or "0", one.get("mode", _READABLE))
        targets[target] = scoped(stack, source, known[source]), file
    return list(targets.values())


def _credential(said: Mapping[str, Any], file: Mapping[str, Any], place: Place) -> Mapping[str, str]:
    """Return where a credential spec is, in the one way that it is said."""
    credential = {key: one for key, one in said.get("credential_spec", {}).items() if one}
    at = place.at("credential_spec")
    if len(credential) > 1:
        at.refuse(f"can be only one of {' and '.join(sorted(credential))}")
    if credential.get("config", "") not in ("", *file.get("configs", {})):
        at.at("config").refuse(f"config {credential['config']!r} is not among the file's configs")
    return credential


def _named_credential(stack: str, credential: Mapping[str, str], file: Mapping[str, Any]) -> CredentialSpec | None:
    if not credential:
        return None
    source = credential.get("config", "")
    config = scoped(stack, source, file["configs"][source]) if source else ""
    return CredentialSpec(config=config, file=credential.get("file", ""), registry=credential.get("registry", ""))
