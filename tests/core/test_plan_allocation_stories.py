"""Whatever happens, no address, port, subnet, id or unit is held twice; when all is gone, nothing is held any more."""

from random import Random
from typing import Any

import pytest
import skep
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from skep.core.codec import decode_state, encode_state
from skep.core.commands import (
    CreateNetwork,
    DescribeNode,
    RemoveNetwork,
    RemoveNode,
    RemoveService,
    RollbackService,
    StartEngine,
    UpdateNode,
)
from skep.core.invariants import check
from skep.core.plan import every_key
from skep.core.record import Record
from skep.core.rejected import Broken, Rejected
from skep.core.state import FIRST_VNI
from skep.model.ids import NetworkId, NodeId
from skep.model.network import Ipam, IpamConfig
from skep.model.service import (
    DiscreteResource,
    EndpointSpec,
    GenericResource,
    NamedResource,
    NetworkAttachment,
    Placement,
    PortConfig,
    Reservations,
    ResourceRequirements,
    ServiceSpec,
    UpdateConfig,
)
from skep.model.states import Availability, NodeState, TaskState
from skep.runtime.reconciler import Wakes
from skep.testing.beginning import INGRESS, join_nodes
from skep.testing.core_swarm import CoreSwarm

Step = tuple[str, int, int]

#: A network of few addresses is soon used up, and one within another cannot be had.
SUBNETS = ("", "10.9.0.0/29", "10.9.0.0/28", "10.9.1.0/28", "10.9.0.0/16", "10.0.2.0/23", "fd00:1::/64")


class Story(CoreSwarm):
    """A swarm that checks itself after every record."""

    def __init__(self) -> None:
        self.named = 0
        self.met: dict[str, None] = {}
        super().__init__(nodes=3, ingress=True)

    def _add(self, record: Record) -> None:
        super()._add(record)
        check(self.state)
        self.check_holdings()
        self.met |= dict.fromkeys(task.status.err for task in self.state.tasks.values() if task.status.err)

    def tell(self, steps: list[Step]) -> None:
        for name, a, b in steps:
            try:
                getattr(self, f"do_{name}")(a, b)
            except Rejected:
                continue

    def one(self, table: Any, number: int) -> Any:
        if not table:
            raise Rejected.invalid("there is none")
        return list(table.values())[number % len(table)]

    def check_holdings(self) -> None:
        """No unit, and no port of a host, is two tasks'; and no node gives more than it has unless it has less now."""
        for node_id, index in self.state.node_tasks.items():
            for what in (index.held.named, index.held.ports) if index.held is not None else ():
                assert all(count == 1 for count in what.values()), f"{node_id} gives one thing twice: {what}"

    # --- steps

    def do_network(self, a: int, b: int) -> None:
        self.named += 1
        subnet = SUBNETS[b % len(SUBNETS)]
        spec = replace(skep.network_spec(f"n{self.named}"), ipam=Ipam(configs=(IpamConfig(subnet),) if subnet else ()))
        self.submit(CreateNetwork(NetworkId(f"net-{self.named}"), replace(spec, ingress=a == 0)))

    def do_remove_network(self, a: int, _: int) -> None:
        made = {i: one for i, one in self.state.networks.items() if not one.predefined}
        self.submit(RemoveNetwork(self.one(made, a).id))

    def do_service(self, a: int, b: int) -> None:
        self.named += 1
        self.create(self.joined(skep.service_spec(f"s{self.named}", "v0", replicas=a % 7), a, b))

    def joined(self, spec: ServiceSpec, a: int, b: int) -> ServiceSpec:
        networks = [n.id for n in self.state.networks.values() if not n.spec.ingress]
        chosen = networks[a % (len(networks) + 1) :][: b % 3]
        ports = tuple(PortConfig(target_port=80 + n, published_port=(0, 8000 + n)[a & 1]) for n in range(b % 4))
        return replace(
            spec,
            task_template=replace(spec.template, networks=tuple(NetworkAttachment(target=i) for i in chosen)),
            endpoint_spec=EndpointSpec(mode="vip" if ports or a % 3 else "dnsrr", ports=ports),
        )

    def do_rejoin(self, a: int, b: int) -> None:
        service = self.one(self.state.services, a)
        self.update(service.id, self.joined(service.spec, b, a + b))

    def do_reserve(self, a: int, b: int) -> None:
        self.named += 1
        spec = skep.service_spec(f"r{self.named}", "v0", replicas=1 + a % 3)
        self.create(self.reserving(spec, a, b))

    def do_reserve_otherwise(self, a: int, b: int) -> None:
        service = self.one(self.state.services, a)
        self.update(service.id, self.reserving(service.spec, b, a))

    def reserving(self, spec: ServiceSpec, a: int, b: int) -> ServiceSpec:
        kinds = (amount("disk", 1 + a % 2), amount("gpu", 1), amount("gpu", b % 2))[: b % 4]
        wanted = ResourceRequirements(reservations=Reservations(10**9 * (a % 2), 0, kinds))
        ports = (PortConfig(target_port=80, published_port=8000 + a % 3, publish_mode="host"),) if a % 4 else ()
        order = UpdateConfig(order=("stop-first", "start-first")[b % 2])
        where = Placement(constraints=("node.labels.zone == a",)) if a == b else None
        return replace(
            spec,
            task_template=replace(spec.template, resources=wanted, placement=where),
            endpoint_spec=EndpointSpec(ports=ports),
            update_config=order,
        )

    def do_describe(self, a: int, b: int) -> None:
        node = self.one(self.state.nodes, a)
        has = Reservations(4 * 10**9, 2**32, (amount("disk", 1 + b % 3), *units("gpu", *"abc"[b % 3 :])))
        self.submit(DescribeNode(node.id, replace(node.description, resources=has)))

    def do_label(self, a: int, b: int) -> None:
        node = self.one(self.state.nodes, a)
        self.submit(UpdateNode(node.id, node.version, replace(node.spec, labels={"zone": "ab"[b % 2]})))

    def do_scale(self, a: int, b: int) -> None:
        self.scale(self.one(self.state.services, a).id, b % 9)

    def do_rollback(self, a: int, _: int) -> None:
        service = self.one(self.state.services, a)
        self.submit(RollbackService(service.id, service.version))

    def do_remove(self, a: int, _: int) -> None:
        self.submit(RemoveService(self.one(self.state.services, a).id))

    def do_fail(self, a: int, b: int) -> None:
        task = self.one(self.state.tasks, a)
        if task.node_id and task.node_id not in self.silent:
            self.report(task, (TaskState.FAILED, TaskState.COMPLETE)[b % 2])

    def do_available(self, a: int, b: int) -> None:
        self.avail(self.one(self.state.nodes, a).id, list(Availability)[b % 3])

    def do_down(self, a: int, _: int) -> None:
        self.observe(self.one(self.state.nodes, a).id, NodeState.DOWN)

    def do_back(self, a: int, _: int) -> None:
        self.observe(self.one(self.state.nodes, a).id, NodeState.READY)

    def do_join(self, a: int, _: int) -> None:
        self.submit(join_nodes(f"later-{a % 3}"))
        self.observe(f"later-{a % 3}", NodeState.READY)

    def do_strike(self, a: int, _: int) -> None:
        if len(self.state.nodes) > 2:
            self.submit(RemoveNode(NodeId(self.one(self.state.nodes, a).id), force=True))

    def do_settle(self, _a: int, _b: int) -> None:
        self.settle()
        self.check_content()

    def do_advance(self, a: int, b: int) -> None:
        self.advance((a % 8) + (b % 4) / 4)
        self.check_content()

    def do_recover(self, _a: int, _b: int) -> None:
        self.state = decode_state(encode_state(self.state))
        self.state.take_touched()
        self.wakes = Wakes()
        for key in every_key(self.state):
            self.wakes.wake(*key)
        self.submit(StartEngine("again"))

    # --- the end

    def come_to_rest(self) -> None:
        for node in list(self.state.nodes.values()):
            self.observe(node.id, NodeState.READY)
            if node.spec.availability is not Availability.ACTIVE:
                self.avail(node.id, Availability.ACTIVE)
        self.advance(120)
        self.check()

    def remove_everything(self) -> None:
        for service_id in list(self.state.services):
            self.submit(RemoveService(service_id))
        self.advance(60)
        for network in list(self.state.networks.values()):
            if not network.spec.ingress and not network.predefined:
                self.submit(RemoveNetwork(network.id))
        self.settle()
        self.check()


def amount(kind: str, value: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteResource(kind, value))


def units(kind: str, *names: str) -> tuple[GenericResource, ...]:
    return tuple(GenericResource(named_resource_spec=NamedResource(kind, name)) for name in names)


STEPS = [name[3:] for name in vars(Story) if name.startswith("do_")]
OFTEN = ["network", "service", "service", "rejoin", "scale", "settle", "advance", "advance", "fail", "reserve"]


def tell_and_judge(told: list[Step]) -> Story:
    story = Story()
    story.tell(told)
    story.come_to_rest()
    state = story.state
    for service in state.services.values():
        for task in story.tasks(service.id, wanted=True):
            assert task.state is TaskState.RUNNING or task.status.err, f"{task} waits, and nobody says why"
    story.remove_everything()
    ingress = state.ingress_id
    assert not state.tasks
    assert not state.given
    assert not state.ports
    assert not state.host_ports
    assert not state.unallocated
    assert not [node_id for node_id, index in state.node_tasks.items() if index.held is not None]
    assert {network: [*of.values()] for network, of in state.addresses.items()} in (
        {},
        {ingress: [node_id for node_id in state.nodes if state.nodes[node_id].attachments]},
        {ingress: [*state.addresses.get(ingress, {}).values()]},
    )
    assert all(owner in state.nodes for of in state.addresses.values() for owner in of.values())
    return story


def drawn(seed: int) -> list[Step]:
    random = Random(seed)  # noqa: S311 - it must repeat itself
    names = [*STEPS, *OFTEN, *OFTEN]
    count = random.randrange(10, 60)
    begin = [("network", 1, random.randrange(7)), ("service", random.randrange(12), random.randrange(12))]
    return begin + [(random.choice(names), random.randrange(12), random.randrange(12)) for _ in range(count)]


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_nothing_is_held_twice_and_nothing_leaks(first: int) -> None:
    met: dict[str, None] = {}
    for seed in range(first, first + 40):
        try:
            met |= tell_and_judge(drawn(seed)).met
        except (AssertionError, Broken) as error:
            raise AssertionError(f"seed {seed}: {drawn(seed)}") from error
    # else these stories would prove little
    assert any(why.startswith("no address left on network") for why in met)
    assert any(why.endswith("has no subnet yet") for why in met)
    assert any("insufficient resources on" in why for why in met)
    assert any("host-mode port already in use on" in why for why in met)
    assert any("scheduling constraints not satisfied on" in why for why in met)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
@given(
    st.lists(
        st.tuples(st.sampled_from([*STEPS, *OFTEN]), st.integers(0, 11), st.integers(0, 11)), min_size=8, max_size=40
    )
)
def test_whatever_happens_nothing_leaks(told: list[Step]) -> None:
    tell_and_judge(told)


def test_a_swarm_whose_networks_all_went_has_its_own_left() -> None:
    story = tell_and_judge([("network", 1, 0), ("service", 1, 1), ("advance", 3, 0)])
    assert story.state.ingress_id == INGRESS
    assert story.state.networks[INGRESS].vnis == (FIRST_VNI,)
    assert [*story.state.addresses] == [INGRESS]
