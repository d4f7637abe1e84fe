"""Seeded stories of a whole engine in virtual time, with faults; one seed is one story, byte for byte.

    python -m skep.testing.simulation --seeds 0:1000

- `behaviours`: what tasks do, by image; `people`: what is asked of the swarm;
- `world`: the engine, its crashes and faults; `run`: one story from its beginning to the checks at its end.

After each story: what was acknowledged is in the log, and once; the invariants held after every durable group; the
services that can run do; every plan is content; and `skep.history.verify` finds nothing.
"""
