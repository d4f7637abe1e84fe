"""Marks of the swarm itself: its root, its keys, and who comes in by a token."""

from skep.core.events import (
    NodeDescribed,
    NodeRemoved,
    NodesJoined,
    NodesObserved,
    SwarmKeysRotated,
    SwarmRootReplaced,
    SwarmUpdated,
)
from skep.core.rules.swarm import needs_certificate
from skep.model.states import NodeState
from skep.testing.simulation.marks.scene import Scene, remembers, seen


@seen("root-rotation-began", SwarmUpdated)
def _(_: Scene, event: SwarmUpdated) -> bool:
    return event.rotation is not None


@seen("root-rotation-overtaken", SwarmUpdated)
def _(scene: Scene, event: SwarmUpdated) -> bool:
    return event.rotation is not None and scene.rotating


@seen("root-rotation-waits-for-a-node-that-is-down", NodesObserved)
def _(scene: Scene, event: NodesObserved) -> bool:
    cluster = scene.state.cluster
    nodes = [scene.state.nodes[i] for i in event.node_ids if i in scene.state.nodes]
    return event.state is NodeState.DOWN and cluster is not None and any(needs_certificate(n, cluster) for n in nodes)


@seen("root-replaced", SwarmRootReplaced)
def _(_: Scene, __: SwarmRootReplaced) -> bool:
    return True


@seen("root-replaced-under-certified-nodes", SwarmRootReplaced)
def _(scene: Scene, _: SwarmRootReplaced) -> bool:
    return any(node.certified for node in scene.state.nodes.values())


@seen("node-known-by-a-certificate-of-another-root", NodeDescribed)
def _(scene: Scene, event: NodeDescribed) -> bool:
    return scene.rotating and event.description.tls_info is not None


@seen("node-removed-while-the-root-is-replaced", NodeRemoved)
def _(scene: Scene, _: NodeRemoved) -> bool:
    return scene.rotating


@seen("network-keys-rotated", SwarmKeysRotated)
def _(scene: Scene, _: SwarmKeysRotated) -> bool:
    return scene.keyed


@seen("certified-node-joined", NodesJoined)
def _(_: Scene, event: NodesJoined) -> bool:
    return event.certified


@seen("node-took-leave", NodesObserved)
def _(_: Scene, event: NodesObserved) -> bool:
    return event.state is NodeState.DISCONNECTED


@remembers(SwarmUpdated)
def _(scene: Scene, event: SwarmUpdated) -> None:
    scene.rotating = scene.rotating or event.rotation is not None


@remembers(SwarmRootReplaced)
def _(scene: Scene, _: SwarmRootReplaced) -> None:
    scene.rotating = False


@remembers(SwarmKeysRotated)
def _(scene: Scene, _: SwarmKeysRotated) -> None:
    scene.keyed = True
