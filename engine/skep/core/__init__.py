"""The deterministic heart: events, commands, state, decide, evolve and plans.

Rules of this package: sans-IO and synchronous; no clock, no randomness, no logging, no await; it never iterates a set,
so that one log gives one state under any hash seed. Only `fold` changes state; only `decide` makes events.
"""
