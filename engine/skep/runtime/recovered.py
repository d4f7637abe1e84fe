"""What a person is told of a recovery."""

from skep.runtime.engine import Engine


def told(engine: Engine) -> str:
    """Say in one line what an engine recovered; nothing where it begins a swarm."""
    state = engine.writer.state
    if state.cluster is None:
        return ""
    claim = engine.writer.claim
    dropped = f"; {claim.dropped}" if claim and claim.dropped else ""
    what = ", ".join(
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((len(state.services), "service"), (len(state.tasks), "task"), (len(state.nodes), "node"))
    )
    return f"swarm {state.cluster.id}: {what} at position {state.position}{dropped}"
