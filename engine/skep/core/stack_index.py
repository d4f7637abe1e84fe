"""Which positions changed something of a stack: its history is found by them, without reading the whole log.

What is gone leaves its positions, since a stack can be gone back to. The last changed stack stands last.
"""

from skep.core.state import ClusterState
from skep.model.stack import stack_of

#: So many stacks are remembered, the last changed ones: names of stacks are anybody's, and never end.
STACKS_MAX = 1000


def note(state: ClusterState, *labels: dict[str, str] | None) -> None:
    """Note that this record changes something with these labels."""
    for each in labels:
        name = stack_of(each)
        if not name:
            continue
        positions = state.stack_positions.pop(name, [])
        if not positions or positions[-1] != state.position:
            positions.append(state.position)
        state.stack_positions[name] = positions
        if len(state.stack_positions) > STACKS_MAX:
            del state.stack_positions[next(iter(state.stack_positions))]
