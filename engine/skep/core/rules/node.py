"""Rules of a node's spec (scenario 04). All are the Engine API's own, and answered bare."""

from skep.core.rejected import Rejected
from skep.model.node import NodeSpec
from skep.model.states import Availability, Role


def parse_role(word: str) -> Role:
    """Return the role that `word` names, in any case; reject any other."""
    try:
        return Role(word.lower())
    except ValueError:
        raise Rejected.invalid(f'invalid Role: "{word}"', bare=True) from None


def parse_availability(word: str) -> Availability:
    """Return the availability that `word` names, in any case; reject any other."""
    try:
        return Availability(word.lower())
    except ValueError:
        raise Rejected.invalid(f'invalid Availability: "{word}"', bare=True) from None


def check_node(spec: NodeSpec) -> None:
    """Reject a spec that leaves out the role or the availability; labels may be anything."""
    if spec.role is None:
        parse_role("")
    if spec.availability is None:
        parse_availability("")
