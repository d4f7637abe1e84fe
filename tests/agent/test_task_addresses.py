"""Each task that has no network of its own has an address of its own."""

import ipaddress

import pytest
from skep.ports.executor import TaskFailed
from skep.runtime.task_addresses import TaskAddresses


def test_each_task_has_an_address_of_its_own_and_keeps_it() -> None:
    pool = TaskAddresses("127.100.0.0/16")
    given = [pool.give(f"task-{number}") for number in range(1000)]
    assert given == [pool.give(f"task-{number}") for number in range(1000)]
    assert given[:2] == ["127.100.0.1", "127.100.0.2"]
    assert len(set(given)) == pool.taken == 1000
    assert all(ipaddress.ip_address(each).is_loopback for each in given)


def test_an_address_that_was_freed_is_the_last_to_come_again() -> None:
    pool = TaskAddresses("127.100.0.0/30")
    first = pool.give("one")
    pool.free("one")
    pool.free("one")
    assert pool.give("two") != first
    assert pool.give("three") == first


def test_a_task_for_which_no_address_is_left_fails() -> None:
    pool = TaskAddresses("127.100.0.0/30")
    pool.give("one")
    pool.give("two")
    with pytest.raises(TaskFailed, match="no loopback address is left for the task: all 2 are taken"):
        pool.give("three")


@pytest.mark.parametrize("block", ["127.0.0.0/8", "127.0.0.0/24", "10.0.0.0/16"])
def test_addresses_are_of_the_loopback_and_none_is_everybodys(block: str) -> None:
    with pytest.raises(ValueError, match="must be a part of 127"):
        TaskAddresses(block)
