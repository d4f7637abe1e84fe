"""What is dispatched by a table is in the table, all of it and nothing else."""

from skep.core.commands import COMMANDS, Command
from skep.core.decide import DECIDE
from skep.core.events import EVENTS, Event
from skep.core.fold import EVOLVE
from skep.core.indexes import Topic
from skep.core.plan import PLANS, WAKES


def _descendants(kind: type) -> set[type]:
    return {kind_ for child in kind.__subclasses__() for kind_ in (child, *_descendants(child))}


def test_every_event_has_a_fold() -> None:
    assert set(EVOLVE) == _descendants(Event)


def test_every_command_has_a_decision() -> None:
    assert set(DECIDE) == _descendants(Command)


def test_every_topic_says_which_plans_it_wakes() -> None:
    assert set(WAKES) == set(Topic)


def test_only_plans_are_woken_and_every_plan_is() -> None:
    assert {plan for plans in WAKES.values() for plan in plans} == set(PLANS)


def test_stored_names_are_distinct_and_carry_a_version() -> None:
    for table, base in ((EVENTS, Event), (COMMANDS, Command)):
        assert len(table) == len(_descendants(base))
        for name in table:
            words, _, version = name.rpartition("/")
            assert words, name
            assert version.isdecimal(), name


def test_what_an_event_mints_is_one_of_its_columns() -> None:
    for kind in EVENTS.values():
        assert kind.minted == "" or kind.minted in kind.__struct_fields__
