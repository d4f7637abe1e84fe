"""Ports that change: which numbers a service keeps, and when it needs the allocator (the cases of SwarmKit's own)."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from skep.core.address_index import is_served
from skep.core.commands import RemoveService
from skep.core.events import ServiceAllocated, ServiceCreated
from skep.core.fold import fold
from skep.core.state import ClusterState
from skep.model.build import service_spec
from skep.model.ids import EPOCH, NodeId, Position, ServiceId
from skep.model.service import Endpoint, EndpointSpec, PortConfig, Service, UpdateConfig
from skep.model.states import NodeState, TaskState
from skep.testing.core_swarm import CoreSwarm


def tcp(target: int, published: int = 0) -> PortConfig:
    return PortConfig(target_port=target, published_port=published, protocol="tcp", publish_mode="ingress")


def host(target: int, published: int = 0) -> PortConfig:
    return replace(tcp(target, published), publish_mode="host")


def has_what_it_asks_for(asked: Sequence[PortConfig], had: Sequence[PortConfig]) -> bool:
    service = Service(
        id=ServiceId("s"),
        spec=replace(service_spec("s", "demo"), endpoint_spec=EndpointSpec(ports=tuple(asked))),
        version=Position(1),
        written=Position(1),
        spec_version=Position(1),
        created_at=EPOCH,
        updated_at=EPOCH,
        endpoint=Endpoint(ports=tuple(had)),
    )
    return is_served(ClusterState(), service)


@pytest.mark.parametrize(
    ("asked", "had", "served"),
    [
        ([], [], True),
        ([], [tcp(80, 8080)], False),
        ([tcp(80, 8080)], [], False),
        ([tcp(80, 8080)], [tcp(80, 8080), tcp(81, 8081)], False),
        ([tcp(80, 8080)], [tcp(81, 8080)], False),
        ([tcp(80, 8080)], [tcp(80, 8081)], False),
        ([tcp(80)], [tcp(80)], False),
        ([tcp(80, 8080)], [tcp(80, 8080)], True),
        ([tcp(80)], [tcp(80, 30_000)], True),
        ([tcp(80, 5000), tcp(80), tcp(80)], [tcp(80, 5000), tcp(80, 30_000), tcp(80, 30_001)], True),
        ([host(80)], [host(80)], True),
        ([host(80)], [host(81)], False),
        ([host(80, 8080)], [host(80, 8080)], True),
        ([host(80, 8080)], [host(80, 8081)], False),
        ([host(80, 8080)], [host(80)], False),
        ([host(80)], [tcp(80, 30_000)], False),
        ([tcp(80)], [host(80)], False),
        ([replace(tcp(80, 53), protocol="udp")], [tcp(80, 53)], False),
    ],
)
def test_a_service_is_served_when_it_has_the_ports_that_it_asks_for(
    asked: list[PortConfig], had: list[PortConfig], served: bool
) -> None:
    assert has_what_it_asks_for(asked, had) is served


def create(swarm: CoreSwarm, name: str, *ports: PortConfig, order: str = "stop-first") -> ServiceId:
    spec = service_spec(name, "demo", ports=ports)
    service_id = swarm.create(replace(spec, update_config=UpdateConfig(order=order)))
    swarm.quiet()
    return service_id


def publish(swarm: CoreSwarm, service_id: ServiceId, *ports: PortConfig) -> None:
    swarm.update(service_id, replace(swarm.service(service_id).spec, endpoint_spec=EndpointSpec(ports=ports)))
    swarm.advance(60)
    swarm.check()


def shown(swarm: CoreSwarm, service_id: ServiceId) -> list[tuple[int, int]]:
    endpoint = swarm.service(service_id).endpoint
    return [(port.target_port, port.published_port) for port in endpoint.ports] if endpoint else []


def held(swarm: CoreSwarm, node_id: str) -> list[int]:
    index = swarm.state.node_tasks.get(NodeId(node_id))
    return [number for _, number in index.held.ports] if index is not None and index.held is not None else []


def test_ports_that_change_their_places_keep_their_numbers() -> None:
    swarm = CoreSwarm()
    web = create(swarm, "web", tcp(80), tcp(81), host(82))
    assert shown(swarm, web) == [(80, 30_000), (81, 30_001), (82, 0)]
    publish(swarm, web, tcp(81), host(82), tcp(80))
    assert shown(swarm, web) == [(81, 30_001), (82, 0), (80, 30_000)]


def test_a_number_that_is_given_to_one_of_several_alike_is_kept_by_another_only_if_it_is_free() -> None:
    swarm = CoreSwarm()
    web = create(swarm, "web", tcp(80), tcp(80))
    assert shown(swarm, web) == [(80, 30_000), (80, 30_001)]
    publish(swarm, web, tcp(80, 30_000), tcp(80))
    assert shown(swarm, web) == [(80, 30_000), (80, 30_001)]
    publish(swarm, web, tcp(80), tcp(80, 30_001))
    assert shown(swarm, web) == [(80, 30_000), (80, 30_001)]


def test_a_port_of_the_hosts_that_changes_is_shown_and_the_old_one_is_free() -> None:
    swarm = CoreSwarm(nodes=1)
    web = create(swarm, "web", host(80, 8080))
    assert (shown(swarm, web), held(swarm, "node-1")) == ([(80, 8080)], [8080])
    publish(swarm, web, host(80, 8081))
    assert (shown(swarm, web), held(swarm, "node-1")) == ([(80, 8081)], [8081])
    other = create(swarm, "other", host(80, 8080))
    assert swarm.running(web) == swarm.running(other) == 1


def test_what_is_served_already_is_not_written_again() -> None:
    swarm = CoreSwarm()
    web = create(swarm, "web", tcp(80), tcp(81, 8081))
    at = swarm.state.position
    publish(swarm, web, tcp(80), tcp(81, 8081))
    assert swarm.events(ServiceAllocated, after=at) == []


def test_ports_that_change_in_the_middle_of_an_update_are_those_of_the_newest_spec() -> None:
    swarm = CoreSwarm(nodes=2, ingress=True)
    web = swarm.create(service_spec("web", "demo", ports=[tcp(80, 8080)], replicas=4))
    swarm.quiet()
    for number in (8081, 8082):
        swarm.update(web, replace(swarm.service(web).spec, endpoint_spec=EndpointSpec(ports=(tcp(80, number),))))
        swarm.advance(2)
        swarm.check()
    assert swarm.state.ports == {("tcp", 8082): web}
    swarm.advance(120)
    assert swarm.running(web) == 4
    assert {swarm.state.template_of(task).ports for task in swarm.tasks(web, wanted=True)} == {(tcp(80, 8082),)}
    create(swarm, "another", tcp(80, 8080), tcp(81, 8081))
    swarm.check()


def test_a_port_that_an_update_gives_up_may_be_taken_before_the_update_is_done() -> None:
    """Published ports are the service's, not its tasks'."""
    swarm = CoreSwarm(nodes=1, ingress=True)
    web = create(swarm, "web", tcp(80, 8080))
    swarm.stuck.update(dict.fromkeys(task.id for task in swarm.tasks(web)))
    swarm.update(web, replace(swarm.service(web).spec, endpoint_spec=EndpointSpec()))
    swarm.quiet()
    assert swarm.service(web).update_status is not None
    other = create(swarm, "other", tcp(80, 8080))
    assert swarm.state.ports == {("tcp", 8080): other}
    swarm.check()


def test_a_port_of_its_host_keeps_a_start_first_successor_off_the_node() -> None:
    """Where there is another node it goes there; where there is none it waits, says so, and the old one goes on."""
    swarm = CoreSwarm(nodes=2)
    web = create(swarm, "web", host(80, 8080), order="start-first")
    (old,) = swarm.tasks(web)
    publish(swarm, web, host(81, 8080))
    (new,) = swarm.tasks(web, wanted=True)
    assert new.node_id != old.node_id
    swarm.observe(old.node_id, NodeState.DOWN)
    swarm.quiet()
    publish(swarm, web, host(82, 8080))
    waits = swarm.tasks(web)[-1]
    assert (waits.state, waits.status.err) == (
        TaskState.PENDING,
        "no suitable node (1 node not available for new tasks; host-mode port already in use on 1 node)",
    )
    assert [task.state for task in swarm.tasks(web, wanted=True)] == [TaskState.RUNNING, TaskState.PENDING]
    swarm.observe(old.node_id, NodeState.READY)
    swarm.advance(30)
    (last,) = swarm.tasks(web, wanted=True)
    assert (last.id, last.state) == (waits.id, TaskState.RUNNING)
    swarm.check()


def test_a_port_that_a_service_publishes_on_its_hosts_is_given_to_nobody() -> None:
    swarm = CoreSwarm(nodes=2)
    create(swarm, "fixed", host(80, 30_000), replace(host(81, 30_001), protocol="udp"))
    assert shown(swarm, create(swarm, "any", tcp(80), tcp(81))) == [(80, 30_001), (81, 30_002)]
    swarm.check()


def test_a_conflict_of_modes_that_an_old_log_holds_does_not_stop_the_allocator() -> None:
    """It was accepted once; what is given to a service is only what no other one has of the ingress."""
    log = CoreSwarm(nodes=2)
    both = [service_spec(name, "demo", ports=[port]) for name, port in (("a", tcp(80, 8080)), ("b", host(80, 8080)))]
    for position, spec in enumerate(both, log.state.position + 1):
        fold(log.state, Position(position), log.now, "", (ServiceCreated(ServiceId(spec.name), spec),))
    swarm = CoreSwarm(state=log.state)
    swarm.advance(30)
    assert [shown(swarm, ServiceId(name)) for name in ("a", "b")] == [[(80, 8080)], [(80, 8080)]]
    assert [swarm.running(ServiceId(name)) for name in ("a", "b")] == [1, 1]
    swarm.check()


def test_a_pending_task_s_reason_follows_the_ports_of_its_nodes() -> None:
    swarm = CoreSwarm(nodes=2)
    first = create(swarm, "first", host(80, 8080))
    create(swarm, "second", host(80, 8080))
    third = create(swarm, "third", host(80, 8080))
    assert [task.status.err for task in swarm.tasks(third)] == [
        "no suitable node (host-mode port already in use on 2 nodes)"
    ]
    swarm.submit(RemoveService(first))
    swarm.advance(10)
    assert swarm.running(third) == 1
    swarm.check()
