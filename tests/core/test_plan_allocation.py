"""Published ports: from 30000 on, not used again at once, held by one service (FACTS, chapter 9)."""

from collections.abc import Sequence

from skep.core.commands import CreateService, RemoveService
from skep.core.rejected import Rejected
from skep.model.build import service_spec
from skep.model.ids import ServiceId
from skep.model.service import PortConfig
from skep.testing.core_swarm import CoreSwarm
from skep.testing.expectation import raising


def published(swarm: CoreSwarm, service_id: ServiceId) -> list[int]:
    endpoint = swarm.service(service_id).endpoint
    return [port.published_port for port in endpoint.ports] if endpoint else []


def create(swarm: CoreSwarm, name: str, *ports: PortConfig) -> ServiceId:
    service_id = swarm.create(service_spec(name, "demo", ports=ports))
    swarm.quiet()
    return service_id


def update(swarm: CoreSwarm, service_id: ServiceId, ports: Sequence[PortConfig]) -> None:
    swarm.update(service_id, service_spec(swarm.service(service_id).spec.name, "demo", ports=ports))
    swarm.advance(30)


ANY = PortConfig(target_port=80)


def test_a_port_that_was_not_named_is_the_next_from_30000_on() -> None:
    swarm = CoreSwarm()
    assert published(swarm, create(swarm, "a", ANY, PortConfig(target_port=81))) == [30_000, 30_001]
    assert published(swarm, create(swarm, "b", ANY)) == [30_002]
    swarm.check()


def test_a_freed_port_is_not_used_again_at_once() -> None:
    swarm = CoreSwarm()
    a = create(swarm, "a", ANY)
    swarm.submit(RemoveService(a))
    swarm.quiet()
    assert published(swarm, create(swarm, "b", ANY)) == [30_001]
    swarm.check()


def test_after_the_last_port_comes_the_first_that_is_free() -> None:
    swarm = CoreSwarm()
    create(swarm, "a", ANY)
    swarm.state.next_port = 32_767
    last = CoreSwarm(state=swarm.state)
    assert published(last, create(last, "b", ANY)) == [32_767]
    assert published(last, create(last, "c", ANY)) == [30_001]
    last.check()


def test_a_port_that_stays_keeps_its_number_while_the_count_of_ports_stays() -> None:
    swarm = CoreSwarm()
    a = create(swarm, "a", ANY, PortConfig(target_port=81))
    update(swarm, a, [ANY, PortConfig(target_port=82)])
    assert published(swarm, a) == [30_000, 30_002]
    swarm.check()


def test_with_another_count_of_ports_all_are_chosen_anew() -> None:
    """Recorded in scenario 25: without its neighbour, 30001 became 30003; with another, 30002 became 30004."""
    swarm = CoreSwarm()
    a = create(swarm, "a", ANY, PortConfig(target_port=81))
    b = create(swarm, "b", PortConfig(target_port=82))
    update(swarm, a, [PortConfig(target_port=81)])
    assert published(swarm, a) == [30_003]
    update(swarm, b, [PortConfig(target_port=82), PortConfig(target_port=99, published_port=30_000)])
    assert published(swarm, b) == [30_004, 30_000]
    swarm.check()


def test_a_service_that_publishes_no_more_frees_its_ports() -> None:
    swarm = CoreSwarm()
    a = create(swarm, "a", PortConfig(target_port=80, published_port=8080))
    assert swarm.state.ports == {("tcp", 8080): a}
    update(swarm, a, [])
    assert swarm.state.ports == {}
    swarm.check()


def test_a_port_of_another_service_is_refused_in_swarms_words() -> None:
    swarm = CoreSwarm()
    port = PortConfig(target_port=80, published_port=8080)
    a = create(swarm, "a", port)
    with raising(Rejected) as caught:
        swarm.submit(CreateService(ServiceId("b"), service_spec("b", "demo", ports=[port])))
    assert str(caught) == f"port '8080' is already in use by service 'a' ({a}) as an ingress port"
    swarm.check()


def host(published: int, protocol: str = "tcp") -> PortConfig:
    return PortConfig(target_port=80, published_port=published, protocol=protocol, publish_mode="host")


def words_for(swarm: CoreSwarm, port: PortConfig) -> str:
    with raising(Rejected) as caught:
        swarm.submit(CreateService(ServiceId("x"), service_spec("x", "demo", ports=[port])))
    return str(caught)


def test_a_port_of_the_hosts_and_one_of_the_ingress_exclude_each_other() -> None:
    """As in SwarmKit, whoever came first; both words are its own (FACTS, chapter 2)."""
    swarm = CoreSwarm()
    a = create(swarm, "a", PortConfig(target_port=80, published_port=8080))
    b = create(swarm, "b", host(9090))
    assert words_for(swarm, host(8080)) == f"port '8080' is already in use by service 'a' ({a}) as an ingress port"
    assert words_for(swarm, PortConfig(target_port=80, published_port=9090)) == (
        f"port '9090' is already in use by service 'b' ({b}) as a host-published port"
    )
    create(swarm, "c", host(8080, "udp"))
    swarm.check()


def test_services_may_publish_the_same_port_on_their_hosts() -> None:
    swarm = CoreSwarm()
    a, b = create(swarm, "a", host(9090)), create(swarm, "b", host(9090))
    assert swarm.state.host_ports == {("tcp", 9090): {a: None, b: None}}
    swarm.quiet()
    assert len({task.node_id for service in (a, b) for task in swarm.tasks(service)}) == 2
    swarm.submit(RemoveService(a))
    swarm.advance(30)
    assert swarm.state.host_ports == {("tcp", 9090): {b: None}}
    update(swarm, b, [])
    assert swarm.state.host_ports == {}
    create(swarm, "c", PortConfig(target_port=80, published_port=9090))
    swarm.check()


def test_a_service_may_move_its_port_from_the_hosts_to_the_ingress_and_back() -> None:
    swarm = CoreSwarm(ingress=True)
    a = create(swarm, "a", host(9090))
    for ports in ([PortConfig(target_port=80, published_port=9090)], [host(9090)]):
        update(swarm, a, ports)
        swarm.advance(60)
        assert swarm.running(a) == 1
        swarm.check()
    assert swarm.state.ports == {}


def test_the_same_number_of_another_protocol_is_no_conflict() -> None:
    swarm = CoreSwarm()
    create(swarm, "a", PortConfig(target_port=80, published_port=8080))
    create(swarm, "b", PortConfig(target_port=80, published_port=8080, protocol="udp"))
    swarm.check()


def test_a_port_that_is_asked_for_is_held_before_it_is_given() -> None:
    """Two services that ask for one port, decided in one turn: the second is refused as it would be a moment later."""
    swarm = CoreSwarm()
    port = PortConfig(target_port=80, published_port=8080)
    swarm.create(service_spec("a", "demo", ports=[port]))
    with raising(Rejected) as refused:
        swarm.create(service_spec("b", "demo", ports=[port]))
    assert "port '8080' is already in use by service 'a'" in str(refused.error)
    swarm.check()


def test_a_chosen_port_is_none_that_the_same_service_asks_for() -> None:
    swarm = CoreSwarm()
    ports = [PortConfig(target_port=80), PortConfig(target_port=81, published_port=30000)]
    a = swarm.create(service_spec("a", "demo", ports=ports))
    swarm.quiet()
    assert published(swarm, a) == [30001, 30000]
