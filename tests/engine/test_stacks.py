"""Stacks by the embedding API: one change each, with a history, and gone back to as a whole."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from skep.core.codec import decode_record, decode_state, encode_state
from skep.core.record import Actor
from skep.core.rejected import Rejected
from skep.core.stack_index import STACKS_MAX, note
from skep.core.state import ClusterState
from skep.model.container import ConfigReference, ContainerSpec, FileTarget, SecretReference
from skep.model.ids import Position
from skep.model.network import NetworkSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import NetworkAttachment, ServiceSpec, TaskSpec
from skep.model.stack import IMAGE_LABEL, NAMESPACE_LABEL, StackSecret, StackSpec
from skep.ports.stack_files import StackFileError, StackRead
from skep.runtime.cluster import Cluster

LABELS = {NAMESPACE_LABEL: "app"}
CLI = Actor("person", "uid:0", "Docker-Client/28")


def service(name: str, image: str = "v1", *, reads: str = "", config: str = "", network: str = "") -> ServiceSpec:
    container = ContainerSpec(
        image=image,
        secrets=(SecretReference(FileTarget(reads), secret_name=reads),) if reads else (),
        configs=(ConfigReference(FileTarget(config), config_name=config),) if config else (),
    )
    networks = (NetworkAttachment(network),) if network else ()
    return ServiceSpec(
        name=f"app_{name}",
        labels=LABELS | {IMAGE_LABEL: image},
        task_template=TaskSpec(container_spec=container, networks=networks),
    )


def secret(data: bytes = b"hush") -> StackSecret:
    return StackSecret(SecretSpec(name="app_s", labels=LABELS), data)


WHOLE = StackSpec(
    name="app",
    services=(service("web", reads="app_s", config="app_c", network="app_net"), service("db")),
    networks=(NetworkSpec(name="app_net", labels=LABELS),),
    secrets=(secret(),),
    configs=(ConfigSpec(name="app_c", labels=LABELS, data=b"shown"),),
)


async def images(cluster: Cluster) -> dict[str, str]:
    return {one.spec.name: one.spec.container.image for one in await cluster.stacks.services("app")}


async def test_a_stack_is_made_by_one_record_that_runs() -> None:
    async with Cluster.open() as cluster:
        done = await cluster.stacks.apply(WHOLE)
        await cluster.converged()
        recorded = await cluster.engine.store.log.read(Position(done.position - 1), limit=1)
        made = [event.name for event in decode_record(recorded[0].body).events]
        assert made == [
            *("network.created/1", "secret.created/1", "config.created/1"),
            *("service.created/1", "service.created/1"),
        ]
        web = await cluster.services.get("app_web")
        assert web.spec.container.secrets[0].secret_id == (await cluster.secrets.get("app_s")).id
        assert web.spec.container.configs[0].config_id == (await cluster.configs.get("app_c")).id
        assert [(one.name, one.services) for one in await cluster.stacks.list()] == [("app", 2)]


async def test_a_stack_that_is_refused_leaves_nothing() -> None:
    async with Cluster.open() as cluster:
        await cluster.services.create(replace(service("db"), labels={}))
        with pytest.raises(Rejected, match="already exists"):
            await cluster.stacks.apply(WHOLE)
        assert await cluster.secrets.list() == []
        assert await cluster.configs.list() == []
        assert [network.spec.name for network in await cluster.networks.list()] == ["ingress"]
        assert not [key for key in await cluster.engine.store.keyring.key_ids() if key.startswith("secret-")]


async def test_a_stack_too_large_for_a_record_is_refused_and_its_data_counts_once() -> None:
    configs = tuple(ConfigSpec(name=f"app_c{n}", labels=LABELS, data=b"x" * 450_000) for n in range(5))
    async with Cluster.open() as cluster:
        await cluster.stacks.apply(replace(WHOLE, configs=(*WHOLE.configs, *configs[:2])))
        with pytest.raises(Rejected, match=r"a change of [0-9]+ bytes .* is too large"):
            await cluster.stacks.apply(replace(WHOLE, services=(service("other"),), configs=configs[2:]))


async def test_what_would_not_be_known_again_is_refused() -> None:
    async with Cluster.open() as cluster:
        with pytest.raises(Rejected, match="app_net does not bear the label of stack app"):
            await cluster.stacks.apply(replace(WHOLE, networks=(NetworkSpec(name="app_net"),)))
        with pytest.raises(Rejected, match="a stack's name has 1 to 60 characters"):
            await cluster.stacks.apply(StackSpec(name=""))


async def test_two_secrets_or_configs_of_one_name_are_refused() -> None:
    async with Cluster.open() as cluster:
        with pytest.raises(Rejected, match="secret app_s stands twice in the stack"):
            await cluster.stacks.apply(replace(WHOLE, secrets=(secret(), secret())))
        with pytest.raises(Rejected, match="config app_c stands twice in the stack"):
            await cluster.stacks.apply(replace(WHOLE, configs=WHOLE.configs * 2))


async def test_a_removal_that_others_network_stops_has_destroyed_the_keys_of_what_is_gone() -> None:
    async with Cluster.open() as cluster:
        await cluster.stacks.apply(WHOLE)
        network = await cluster.networks.get("app_net")
        await cluster.services.create(replace(service("other", network=network.id), name="other", labels={}))
        with pytest.raises(Rejected, match="is in use by service"):
            await cluster.stacks.remove("app")
        assert await cluster.secrets.list() == []
        assert not [key for key in await cluster.engine.store.keyring.key_ids() if key.startswith("secret-")]


async def test_what_is_so_already_is_left_alone() -> None:
    async with Cluster.open() as cluster:
        await cluster.stacks.apply(WHOLE)
        again = await cluster.stacks.apply(WHOLE)
        assert (again.position, again.unchanged) == (0, ("app_db", "app_web"))


async def test_only_pruning_removes_services() -> None:
    fewer = replace(WHOLE, services=WHOLE.services[1:])
    async with Cluster.open() as cluster:
        await cluster.stacks.apply(WHOLE)
        assert (await cluster.stacks.apply(fewer)).removed == ()
        assert (await cluster.stacks.apply(fewer, prune=True)).removed == ("app_web",)
        assert await images(cluster) == {"app_db": "v1"}


async def test_other_data_of_a_secret_or_config_is_refused() -> None:
    async with Cluster.open() as cluster:
        await cluster.stacks.apply(WHOLE)
        with pytest.raises(Rejected, match="secret app_s is there with other data"):
            await cluster.stacks.apply(replace(WHOLE, secrets=(secret(b"other"),)))
        with pytest.raises(Rejected, match="config app_c is there with other data"):
            await cluster.stacks.apply(replace(WHOLE, configs=(replace(WHOLE.configs[0], data=b"other"),)))


async def test_a_secret_or_network_that_is_not_there_is_named() -> None:
    async with Cluster.open() as cluster:
        with pytest.raises(Rejected, match="service app_web: secret not found: app_s"):
            await cluster.stacks.apply(replace(WHOLE, secrets=()))
        with pytest.raises(Rejected, match="network elsewhere of stack app is external"):
            await cluster.stacks.apply(replace(WHOLE, external_networks=("elsewhere",)))


async def test_an_image_keeps_its_digest_and_a_service_what_forced_it() -> None:
    async with Cluster.open() as cluster:
        await cluster.stacks.apply(WHOLE)
        db = await cluster.services.get("app_db")
        pinned = replace(db.spec.container, image="v1@sha256:" + "0" * 64)
        task = replace(db.spec.template, container_spec=pinned, force_update=3)
        await cluster.services.update(db.id, db.version, replace(db.spec, task_template=task))
        labelled = replace(WHOLE.services[1], labels=LABELS | {IMAGE_LABEL: "v1", "a": "b"})
        await cluster.stacks.apply(replace(WHOLE, services=(WHOLE.services[0], labelled)))
        db = await cluster.services.get("app_db")
        assert (db.spec.container.image, db.spec.template.force_update) == ("v1@sha256:" + "0" * 64, 3)


async def test_a_stack_goes_back_as_a_whole_by_one_record() -> None:
    second = replace(WHOLE, services=(replace_image(WHOLE.services[0], "v2"), service("cache")))
    async with Cluster.open() as cluster:
        await cluster.stacks.apply(WHOLE)
        await cluster.stacks.apply(second, prune=True)
        await cluster.converged()
        assert await images(cluster) == {"app_web": "v2", "app_cache": "v1"}
        back = await cluster.stacks.rollback("app", to=1)
        assert (back.created, back.updated, back.removed) == (("app_db",), ("app_web",), ("app_cache",))
        await cluster.converged()
        assert await images(cluster) == {"app_web": "v1", "app_db": "v1"}
        web = await cluster.services.get("app_web")
        assert web.update_status is not None
        assert web.update_status.state == "rollback_completed"
        history = await cluster.stacks.history("app")
        assert [(one.number, one.kind) for one in history] == [(1, "deployment"), (2, "deployment"), (3, "rollback")]
        assert history[2].position == back.position
        assert (await cluster.stacks.rollback("app", to=3)).position == 0


def replace_image(spec: ServiceSpec, image: str) -> ServiceSpec:
    task = spec.template
    return replace(
        spec,
        labels=LABELS | {IMAGE_LABEL: image},
        task_template=replace(task, container_spec=replace(spec.container, image=image)),
    )


async def test_a_removed_stack_has_a_history_and_comes_back_without_secrets_only() -> None:
    plain = replace(WHOLE, services=(service("web", network="app_net"), service("db")), secrets=(), configs=())
    async with Cluster.open() as cluster:
        await cluster.stacks.apply(WHOLE)
        await cluster.stacks.apply(plain)
        await cluster.converged()
        assert (await cluster.stacks.remove("app")).removed == ("app_db", "app_web")
        assert await cluster.secrets.list() == []
        assert [network.spec.name for network in await cluster.networks.list()] == ["ingress"]
        history = await cluster.stacks.history("app")
        assert [one.kind for one in history] == ["deployment", "deployment", "removal"]
        with pytest.raises(Rejected, match="cannot go back to deployment 1: service app_web had secret app_s"):
            await cluster.stacks.rollback("app", to=1)
        await cluster.stacks.rollback("app", to=2)
        await cluster.converged()
        web = await cluster.services.get("app_web")
        assert web.spec.template.networks[0].target == (await cluster.networks.get("app_net")).id


async def test_a_stack_or_deployment_that_never_was_is_refused() -> None:
    async with Cluster.open() as cluster:
        with pytest.raises(Rejected, match="stack app not found"):
            await cluster.stacks.history("app")
        with pytest.raises(Rejected, match="stack app not found"):
            await cluster.stacks.remove("app")
        await cluster.stacks.apply(WHOLE)
        with pytest.raises(Rejected, match="stack app has no deployment 2: its newest is 1"):
            await cluster.stacks.rollback("app", to=2)


async def deploy_as_the_client_does(cluster: Cluster, image: str) -> None:
    """Send what Docker's client sends, one request after the other."""
    known = {one.spec.name: one for one in await cluster.stacks.services("app")}
    for name in ("web", "db"):
        spec = service(name, image)
        if spec.name in known:
            await cluster.services.update(known[spec.name].id, known[spec.name].version, spec, actor=CLI)
        else:
            await cluster.services.create(spec, actor=CLI)


async def test_requests_of_the_client_one_after_the_other_are_one_deployment() -> None:
    async with Cluster.open() as cluster:
        await cluster.networks.create(NetworkSpec(name="app_net", labels=LABELS), actor=CLI)
        await cluster.configs.create(ConfigSpec(name="app_c", labels=LABELS, data=b"x"), actor=CLI)
        await deploy_as_the_client_does(cluster, "v1")
        await cluster.converged()
        await deploy_as_the_client_does(cluster, "v2")
        await cluster.converged()
        first, second = await cluster.stacks.history("app")
        assert [(one.what, one.kind, one.name) for one in first.done] == [
            ("created", "network", "app_net"),
            ("created", "config", "app_c"),
            ("created", "service", "app_web"),
            ("created", "service", "app_db"),
        ]
        assert [(one.what, one.name) for one in second.done] == [("updated", "app_web"), ("updated", "app_db")]
        assert (first.actor, second.actor) == (CLI, CLI)
        await cluster.stacks.rollback("app", to=1)
        assert await images(cluster) == {"app_web": "v1", "app_db": "v1"}


async def test_a_checkpoint_knows_where_stacks_changed() -> None:
    async with Cluster.open() as cluster:
        done = await cluster.stacks.apply(WHOLE)
        body = await cluster.read(encode_state)
        assert decode_state(body).stack_positions == {"app": [done.position]}


async def test_stacks_that_changed_longest_ago_are_forgotten() -> None:
    state = ClusterState()
    for number in range(STACKS_MAX + 1):
        note(state, {NAMESPACE_LABEL: f"app{number}"})
    note(state, {NAMESPACE_LABEL: "app1"}, None, {})
    note(state, {NAMESPACE_LABEL: "other"})
    assert len(state.stack_positions) == STACKS_MAX
    assert "app1" in state.stack_positions
    assert not {"app0", "app2"} & set(state.stack_positions)


class Files:
    """A reader that has read already."""

    async def read(
        self, files: Sequence[Path], *, name: str, env: Mapping[str, str], env_files: Sequence[Path] = ()
    ) -> StackRead:
        return StackRead(replace(WHOLE, name=name), (f"{files[0]} {env} {len(env_files)}",))


async def test_files_are_read_by_whoever_was_given_and_nobody_else() -> None:
    async with Cluster.open(stack_files=Files()) as cluster:
        done = await cluster.stacks.deploy("stack.yml", name="app", env={"A": "1"})
        assert done.created == ("app_db", "app_web")
        assert done.warnings == ("stack.yml {'A': '1'} 0",)
    async with Cluster.open() as cluster:
        with pytest.raises(StackFileError, match="stack_files="):
            await cluster.stacks.deploy("stack.yml", name="app")
