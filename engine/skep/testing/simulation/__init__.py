"""Seeded stories of a whole engine in virtual time, with faults; one seed is one story, byte for byte.

    python -m skep.testing.simulation --seeds 0:1000

- `people`: what is asked of the swarm; `specs`: of what they make specs; `behaviours`: what tasks do, by image;
- `faults`: what goes wrong; `disk`, `cable`, `machine`: where it goes wrong;
- `world`: all of these, and the engine's lives;
- `marks`: rare paths by name, each of which a run of many stories must reach;
- `run`: one story; `end`: how it comes to rest, and what is looked at then; `sweep`: many stories in several processes.

`docs/guides/simulation.md` says what must hold, and how to add to it.
"""
