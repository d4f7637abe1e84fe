"""A swarm inside pytest: the fixture `skep_swarm`, for tests of what asks a swarm by Docker's API.

    def test_it_scales(skep_swarm):
        client = docker.from_env()
        ...

- `plugin` is all that pytest imports where no test asks for a swarm: it must import nothing of skep at its top.
- `options`: what the marker `skep` says; `swarm`: what a test holds; `thread`: where the engine lives;
- `life`: the engine of one test; `faults`: what can be done to it; `failing`: an executor whose tasks fail when told.

pytest is no dependency of skep's. Nothing but pytest imports this package.
"""
