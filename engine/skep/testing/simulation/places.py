"""Where tasks may be: what machines are, what labels nodes have, what specs ask of them; and which nodes fit that.

`fits` is told apart from the engine's own judgement, so that one is held against the other.
"""

from random import Random

from skep.model.ids import NANOSECONDS
from skep.model.node import EngineDescription, Node, NodeDescription
from skep.model.service import (
    DiscreteResource,
    GenericResource,
    NamedResource,
    Placement,
    PlacementPreference,
    Platform,
    Reservations,
    ResourceRequirements,
    SpreadOver,
)
from skep.model.states import Role

ZONES = ("a", "b", "c")
RACKS = ("1", "2")

#: How often a node has labels, a machine generic resources, and a service reservations: a mix, not a rule.
LABELLED = 0.8
EQUIPPED = 0.6
RESERVING = 0.3

GIBIBYTE = 1024**3

ANYWHERE = Placement()


def hardware(random: Random, hostname: str) -> NodeDescription:
    """Draw what a machine says of itself; small, so that reservations fill it."""
    equipped = random.random() < EQUIPPED
    return NodeDescription(
        hostname=hostname,
        platform=Platform(architecture="x86_64", os="linux"),
        resources=Reservations(
            nano_cpus=random.choice((2, 4)) * NANOSECONDS,
            memory_bytes=random.choice((4, 8)) * GIBIBYTE,
            generic_resources=(*_gpus(random.randrange(1, 3)), _licences(random.randrange(1, 4))) if equipped else (),
        ),
        engine=EngineDescription(engine_version="simulated", labels={"disk": random.choice(("ssd", "hdd"))}),
    )


def _gpus(count: int) -> list[GenericResource]:
    return [GenericResource(named_resource_spec=NamedResource("gpu", f"gpu-{number}")) for number in range(count)]


def _licences(count: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteResource("licence", count))


def labels(random: Random) -> dict[str, str]:
    """Draw the labels of a node."""
    if random.random() >= LABELLED:
        return {}
    return {"zone": random.choice(ZONES), "rack": random.choice(RACKS)}


def reservations(random: Random) -> ResourceRequirements | None:
    """Draw what a task reserves."""
    if random.random() >= RESERVING:
        return None
    match random.randrange(4):
        case 0:
            wanted = Reservations(nano_cpus=random.choice((1, 2, 3)) * NANOSECONDS // 2)
        case 1:
            wanted = Reservations(memory_bytes=random.choice((1, 3)) * GIBIBYTE)
        case 2:
            wanted = Reservations(generic_resources=(_amount("gpu", 1),))
        case _:
            wanted = Reservations(generic_resources=(_amount("licence", random.choice((1, 2))),))
    return ResourceRequirements(reservations=wanted)


def _amount(kind: str, value: int) -> GenericResource:
    return GenericResource(discrete_resource_spec=DiscreteResource(kind, value))


def placement(random: Random) -> Placement | None:
    """Draw where tasks may be, and where they would rather be."""
    match random.randrange(10):
        case 0:
            return Placement(constraints=(f"node.labels.zone=={random.choice((*ZONES, 'nowhere'))}",))
        case 1:
            return Placement(constraints=(f"node.labels.zone!={random.choice(ZONES)}",))
        case 2:
            return Placement(constraints=("node.role==worker",), max_replicas=random.randrange(2))
        case 3:
            return Placement(max_replicas=random.choice((1, 2)))
        case 4:
            return Placement(constraints=("engine.labels.disk==ssd",))
        case 5:
            return Placement(preferences=(_spread("node.labels.zone"),))
        case 6:
            return Placement(preferences=(_spread("node.labels.zone"), _spread("node.labels.rack")))
    return None


def _spread(label: str) -> PlacementPreference:
    return PlacementPreference(spread=SpreadOver(label))


def fits(wanted: Placement, node: Node) -> bool:
    """Whether a node fulfils such constraints as are drawn here."""
    named = node.spec.labels or {}
    engine = node.description.engine
    has = {
        "node.labels.zone": named.get("zone", ""),
        "node.labels.rack": named.get("rack", ""),
        "node.role": str(node.spec.role or Role.WORKER),
        "engine.labels.disk": engine.labels.get("disk", "") if engine is not None else "",
    }
    for text in wanted.constraints:
        key, equal, value = text.partition("==") if "==" in text else text.partition("!=")
        if (has[key] == value) is not (equal == "=="):
            return False
    return True
