"""Which records are one deployment of a stack, and what the stack was after it."""

from collections.abc import Sequence
from typing import Any

from skep.core.codec import encode_record
from skep.core.events import (
    ConfigCreated,
    Event,
    NetworkCreated,
    NetworkRemoved,
    SecretCreated,
    SecretRemoved,
    SecretUpdated,
    ServiceCreated,
    ServiceRemoved,
    ServiceRolledBack,
    ServiceUpdated,
)
from skep.core.record import Actor, Planned, Record, Submitted
from skep.history.deployments import PAUSE_MAX, Deployment, read_history
from skep.model.container import ContainerSpec
from skep.model.ids import NANOSECONDS, ConfigId, Instant, NetworkId, Position, SecretId, ServiceId
from skep.model.network import NetworkSpec
from skep.model.secret import ConfigSpec, SecretSpec
from skep.model.service import ServiceSpec, TaskSpec, UpdateStatus
from skep.model.stack import NAMESPACE_LABEL
from skep.model.states import UpdateState
from skep.ports.event_log import Recorded

LABELS = {NAMESPACE_LABEL: "app"}
ANN = Actor("person", "uid:1", "Docker-Client/28")
BEN = Actor("person", "uid:2", "Docker-Client/28")
PLAN = Actor("plan", "updates")

WEB, DB = ServiceId("w" * 25), ServiceId("d" * 25)
STATUS = UpdateStatus(UpdateState.ROLLBACK_STARTED, started_at=Instant(1))


def spec(name: str, image: str = "v1", labels: dict[str, str] = LABELS) -> ServiceSpec:
    return ServiceSpec(f"app_{name}", labels, TaskSpec(ContainerSpec(image)))


NET = NetworkCreated(NetworkId("n" * 25), NetworkSpec("app_net", LABELS))
SECRET = SecretCreated(SecretId("s" * 25), SecretSpec("app_s", LABELS))
CONFIG = ConfigCreated(ConfigId("c" * 25), ConfigSpec("app_c", LABELS))
MADE = (NET, SECRET, CONFIG, ServiceCreated(WEB, spec("web")), ServiceCreated(DB, spec("db")))


class Story:
    """Records, one after the other; a log, as far as it is asked here."""

    def __init__(self) -> None:
        self._now = 0
        self._bodies: list[bytes] = []

    def happens(self, *events: Event, by: Actor = ANN, after: int = NANOSECONDS, whole: str = "") -> "Story":
        """Each event is a record of its own; all are one where skep's own command `whole` made them."""
        for group in [events] if whole else [(event,) for event in events]:
            self._now += after
            input_: Any = Planned("updates", WEB, Instant(1)) if by is PLAN else Submitted((), whole)
            position = Position(len(self._bodies) + 1)
            self._bodies.append(encode_record(Record(position, Instant(self._now), by, input_, tuple(group))))
        return self

    async def read(self, after: Position, *, limit: int) -> Sequence[Recorded]:
        rows = enumerate(self._bodies[after : after + limit], after + 1)
        return [Recorded(Position(position), body) for position, body in rows]

    async def told(self) -> tuple[Deployment, ...]:
        log: Any = self
        positions = [Position(n) for n in range(1, len(self._bodies) + 1)]
        return (await read_history(log, "app", positions)).deployments


def update(service_id: ServiceId, name: str, image: str) -> ServiceUpdated:
    return ServiceUpdated(service_id, spec(name, image))


def images(one: Deployment) -> dict[str, str]:
    return {then.spec.name: then.spec.container.image for then in one.services}


async def test_requests_in_the_clients_order_are_one() -> None:
    (one,) = await Story().happens(*MADE).told()
    assert (one.number, one.kind, one.actor, one.position) == (1, "deployment", ANN, 5)
    assert [done.kind for done in one.done] == ["network", "secret", "config", "service", "service"]
    assert (one.began_at, one.ended_at) == (NANOSECONDS, 5 * NANOSECONDS)


async def test_a_pause_ends_one() -> None:
    story = Story().happens(*MADE[:4]).happens(MADE[4], after=PAUSE_MAX)
    assert len(await story.told()) == 1
    assert len(await Story().happens(*MADE[:4]).happens(MADE[4], after=PAUSE_MAX + 1).told()) == 2


async def test_another_person_ends_one() -> None:
    first, second = await Story().happens(*MADE[:4]).happens(MADE[4], by=BEN).told()
    assert (first.actor, second.actor) == (ANN, BEN)


async def test_the_same_thing_again_ends_one() -> None:
    story = Story().happens(*MADE, update(WEB, "web", "v2"), update(DB, "db", "v2"))
    first, second = await story.told()
    assert (images(first)["app_web"], images(second)["app_web"]) == ("v1", "v2")


async def test_what_comes_before_services_ends_one_after_them() -> None:
    story = Story().happens(*MADE[:4], SecretUpdated(SecretId("s" * 25), SecretSpec("app_s", LABELS)), MADE[4])
    first, second = await story.told()
    assert [done.name for done in second.done] == ["app_s", "app_db"]
    assert images(first) == {"app_web": "v1"}


async def test_a_stack_that_is_removed_and_deployed_at_once_is_two() -> None:
    again = ServiceCreated(ServiceId("x" * 25), spec("web", "v2"))
    story = Story().happens(*MADE)
    story.happens(ServiceRemoved(WEB), ServiceRemoved(DB), SecretRemoved(SecretId("s" * 25)))
    story.happens(NetworkRemoved(NetworkId("n" * 25)), NET, again)
    kinds = [(one.kind, len(one.done)) for one in await story.told()]
    assert kinds == [("deployment", 5), ("removal", 4), ("deployment", 2)]


async def test_pruning_belongs_to_what_follows_it() -> None:
    story = Story().happens(*MADE).happens(ServiceRemoved(DB), update(WEB, "web", "v2"))
    _, second = await story.told()
    assert [(done.what, done.name) for done in second.done] == [("removed", "app_db"), ("updated", "app_web")]


async def test_what_skep_does_is_always_one_of_its_own() -> None:
    story = Story().happens(*MADE[:3])
    story.happens(*MADE[3:], whole="stack-deploy:app:1")
    story.happens(update(WEB, "web", "v2"))
    story.happens(ServiceRolledBack(DB, spec("db"), Position(4), STATUS), whole="stack-rollback:app:2")
    assert [one.kind for one in await story.told()] == ["deployment", "deployment", "deployment", "rollback"]


async def test_an_update_that_goes_back_by_itself_is_none_and_the_next_begins_from_it() -> None:
    story = Story().happens(*MADE, update(WEB, "web", "bad"))
    story.happens(ServiceRolledBack(WEB, spec("web"), Position(4), STATUS), by=PLAN)
    story.happens(update(DB, "db", "v2"))
    first, second = await story.told()
    assert images(first) == {"app_web": "v1", "app_db": "v1"}
    assert images(second) == {"app_web": "v1", "app_db": "v2"}
    assert [done.name for done in second.done] == ["app_web", "app_db"]


async def test_a_service_that_loses_the_label_is_gone_and_others_are_not_looked_at() -> None:
    story = Story().happens(*MADE)
    story.happens(ServiceUpdated(WEB, spec("web", "v2", {NAMESPACE_LABEL: "other"})), after=PAUSE_MAX * 2)
    story.happens(ServiceCreated(ServiceId("y" * 25), spec("y", "v1", {})))
    _, second = await story.told()
    assert images(second) == {"app_db": "v1"}
    assert [(done.what, done.name) for done in second.done] == [("removed", "app_web")]
