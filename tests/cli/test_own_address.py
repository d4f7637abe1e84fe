"""The addresses by which a machine is reached."""

import pytest
from skep_adapters.cli.own_address import way_in


@pytest.mark.parametrize(
    ("listens", "told", "way"),
    [
        ("0.0.0.0:2377", "127.0.0.1", "127.0.0.1:2377"),
        # an address of nobody here: that of a router before this machine
        ("0.0.0.0:2377", "192.0.2.1", "127.0.0.1:2377"),
        ("127.0.0.1:2378", "192.0.2.1", "127.0.0.1:2378"),
        ("[::]:2377", "192.0.2.1", "127.0.0.1:2377"),
        ("[::1]:2377", "192.0.2.1", "[::1]:2377"),
    ],
)
def test_the_engine_of_the_machine_comes_in_where_the_machine_is_reached(listens: str, told: str, way: str) -> None:
    assert way_in(listens, told) == way
