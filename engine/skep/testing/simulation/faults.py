"""What goes wrong. A kind of fault is one function here: it returns whether it could happen.

A fault that takes time ends by itself, whatever becomes of the engine meanwhile.
"""

from collections.abc import Callable

from skep.runtime.memory import AppendFault
from skep.testing.simulation.cable import Mishap
from skep.testing.simulation.machine import Machine
from skep.testing.simulation.places import hardware
from skep.testing.simulation.world import World

Fault = Callable[[World], bool]

#: The kinds of faults, each as often as it happens.
FAULTS: list[Fault] = []

MINUTE_S = 60.0
HOUR_S = 60 * MINUTE_S

#: How often a machine comes back with other hardware.
REBUILT = 0.2

#: A node is down after 15 s of silence: some faults are shorter, some longer.
SILENCE_S_MAX = 40.0


def happens(times: int) -> Callable[[Fault], Fault]:
    """Have this happen, so many times as often as what happens once."""

    def add(fault: Fault) -> Fault:
        FAULTS.extend([fault] * times)
        return fault

    return add


def strike(world: World) -> None:
    """Let something go wrong."""
    while not world.random.choice(FAULTS)(world):
        pass


# --- the engine


@happens(1)
def crash(world: World) -> bool:
    """Kill the engine."""
    world.crash()
    return True


@happens(2)
def crash_at_append(world: World) -> bool:
    """Kill the engine at its next append, which has landed or not."""
    world.disk.crash_at = world.random.choice(("before", "after"))
    return True


@happens(2)
def crash_with_lost_groups(world: World) -> bool:
    """Kill the engine, whose disk had lied about the last groups."""
    world.crash(lose_groups=world.random.choice((1, 1, 2, 5)))
    return True


@happens(1)
def stop(world: World) -> bool:
    """Stop the engine in order."""
    world.stopping = True
    world.note("engine-stopped-in-order")
    return True


@happens(1)
def stay_away(world: World) -> bool:
    """Kill the engine, and start it again only after nodes would have been down."""
    world.away_s = world.draw_s(15, 120)
    world.note("engine-was-away-for-long")
    world.crash()
    return True


# --- its disk


@happens(2)
def lose_answers(world: World) -> bool:
    """Give appends no answer: some landed, some did not."""
    fault = world.random.choice((AppendFault.UNKNOWN_LANDED, AppendFault.UNKNOWN_LOST))
    world.disk.log.fail_next(fault, times=world.random.choice((1, 1, 4)))
    return True


@happens(2)
def fill_disk(world: World) -> bool:
    """Have the disk full for a while."""

    async def make_room() -> None:
        world.disk.full = False

    world.disk.full = True
    world.later(world.draw_s(0.1, 20), make_room)
    return True


@happens(1)
def slow_disk(world: World) -> bool:
    """Have appends take long for a while."""

    async def recover() -> None:
        world.disk.slow_s = 0.0

    world.disk.slow_s = world.draw_s(0.1, 3)
    world.later(world.draw_s(2, 30), recover)
    return True


# --- clocks


@happens(1)
def turn_clock_ahead(world: World) -> bool:
    """Put the clock on by hours."""
    world.turn_clock(world.draw_s(1, 5) * HOUR_S)
    return True


@happens(1)
def turn_clock_back(world: World) -> bool:
    """Put the clock back, by seconds or by hours."""
    world.turn_clock(-world.random.choice((world.draw_s(0.1, 3), world.draw_s(0.1, 3) * MINUTE_S, 5 * HOUR_S)))
    return True


# --- machines and cables


@happens(4)
def crash_machine(world: World) -> bool:
    """Take power from a machine for a while: its tasks die."""
    machine = _machine(world)
    if machine is None:
        return False
    machine.switch_off()
    rebuilt = world.random.random() < REBUILT
    if rebuilt:
        machine.description = hardware(world.random, machine.name)

    async def come_back() -> None:
        await machine.switch_on()
        world.note("machine-came-back-otherwise" if rebuilt else "machine-came-back")

    world.note("machine-crashed")
    world.later(world.draw_s(0.1, SILENCE_S_MAX), come_back)
    return True


@happens(1)
def lose_machine_for_a_day(world: World) -> bool:
    """Take power from a machine until it is down, and put the clock on by more than a day: its tasks are given up."""
    machine = _machine(world)
    if machine is None:
        return False
    machine.switch_off()

    async def pass_a_day() -> None:
        world.turn_clock(world.draw_s(24, 30) * HOUR_S)
        world.later(world.draw_s(0.1, 5), machine.switch_on)

    world.later(world.draw_s(18, SILENCE_S_MAX), pass_a_day)
    return True


@happens(3)
def cut_link(world: World) -> bool:
    """Cut a machine off from the manager for a while."""
    machine = _machine(world)
    if machine is None or machine.cable.cut:
        return False
    cable = machine.cable
    cable.sever("the cable was cut")
    cable.cut = True

    async def splice() -> None:
        cable.cut = False

    world.note("link-cut")
    world.later(world.draw_s(0.1, SILENCE_S_MAX), splice)
    return True


@happens(1)
def lose_session(world: World) -> bool:
    """End a session; its agent builds a new one at once."""
    sessions = list(world.engine.dispatcher.sessions.values()) if world.engine else []
    if not sessions:
        return False
    world.random.choice(sessions).end("the link was lost")
    world.note("session-lost")
    return True


@happens(4)
def spoil_report(world: World) -> bool:
    """Have the next reports of a node come late, twice and out of order, or unanswered."""
    machine = _machine(world)
    if machine is None:
        return False
    mishaps: tuple[Mishap, ...] = ("delayed", "repeated", "repeated", "unanswered")
    machine.cable.mishaps.extend(world.random.choice(mishaps) for _ in range(world.random.randrange(1, 4)))
    return True


def _machine(world: World) -> Machine | None:
    on = [machine for machine in world.machines.values() if machine.is_on]
    return world.random.choice(on) if on else None
