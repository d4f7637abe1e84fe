"""What may be said in a spec, and what a stored spec gains: the words and codes of a real swarm, as recorded.

A rule looks at a spec alone. What asks the state as well (names taken, ports held, references) is `decide`'s.
`check_x` raises `Rejected` or returns; `stored_x` never fails, and leaves what a check must see.
"""
