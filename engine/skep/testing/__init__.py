"""The test kit: what your tests of a swarm, and our own, are made of.

- `given`: given events, when commands, then events; a rejection; or what it settles to. Values, no loop.
- `core_swarm`: a whole swarm without a loop: decisions, plans, and agents that do as they are told.
- `virtual`: a loop in which waiting takes no time. `flight`: one with sockets, whose time can fly.
- `sources`: ids and clocks that repeat themselves.
- `engine_test`: the running engine, checked and verified when the block ends.
- `simulation`: seeded stories of a whole engine with faults.
- `*_suite`: the contracts of the ports.
"""
