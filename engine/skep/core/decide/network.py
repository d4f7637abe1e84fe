"""Decisions about networks."""

from msgspec.structs import replace

from skep.core.commands import AllocateNetwork, CreateNetwork, RemoveNetwork
from skep.core.events import Event, NetworkAllocated, NetworkCreated, NetworkRemoved
from skep.core.rejected import Code, Rejected
from skep.core.rules.network import LOCAL_NAMES, check_network
from skep.core.state import ClusterState
from skep.model.ids import NetworkId
from skep.model.network import PREDEFINED, Network
from skep.model.states import TaskState
from skep.model.task import Task


def create_network(state: ClusterState, command: CreateNetwork) -> tuple[Event, ...]:
    """Begin a network under a name that is free."""
    spec = replace(command.spec, labels=command.spec.labels or {})
    # the name that is none is taken, too (recorded in scenario 16)
    if not spec.name or spec.name in state.network_names or spec.name in PREDEFINED:
        raise Rejected(Code.ALREADY_EXISTS, f"network with name {spec.name} already exists", bare=True)
    if spec.name in LOCAL_NAMES:
        what = f"operation is not permitted on predefined {spec.name} network"
        raise Rejected(Code.PERMISSION_DENIED, what, bare=True)
    check_network(spec)
    if spec.ingress and state.ingress_id:
        raise Rejected(Code.ALREADY_EXISTS, f"ingress network ({state.ingress_id}) is already present")
    return (NetworkCreated(command.network_id, spec),)


def allocate_network(state: ClusterState, command: AllocateNetwork) -> tuple[Event, ...]:
    """Give a network what it has not yet."""
    network = _known(state, command.network_id)
    if network.vnis == command.vnis and network.ranges == command.ranges:
        return ()
    return (NetworkAllocated(network.id, command.vnis, command.ranges),)


def remove_network(state: ClusterState, command: RemoveNetwork) -> tuple[Event, ...]:
    """End a network that nobody uses; tasks that are stopping may still be on it (recorded in scenario 16).

    A task that an update of its service did not reach yet uses what its service uses no more. A container that a person
    attached is a user as a task is.
    """
    network = _known(state, command.network_id)
    if network.predefined:
        what = f"network {network.id} ({network.spec.name}) is a swarm predefined network and cannot be removed"
        raise Rejected.precondition(what)
    users = state.network_users.get(network.id)
    if users:
        raise Rejected.precondition(f"network {network.id} is in use by service {min(users)}")
    task = _user_left_behind(state, network.id)
    attached = state.network_attachments.get(network.id)
    if task is not None or attached:
        task_id = task.id if task is not None else next(iter(attached or ()))
        raise Rejected.precondition(f"network {network.id} is in use by task {task_id}")
    if network.spec.ingress and state.ports:
        publisher = next(iter(state.ports.values()))
        raise Rejected.precondition(f"ingress network cannot be removed because service {publisher} depends on it")
    return (NetworkRemoved(network.id),)


def _user_left_behind(state: ClusterState, network_id: NetworkId) -> Task | None:
    """Return a task that is to go on and bears an older template of its service, which joins the network."""
    for service_id, templates in state.templates.items():
        if len(templates) == 1 and service_id in state.services:
            continue  # the present one, which its service uses
        joining = {at: None for at, one in templates.items() if any(n.target == network_id for n in one.networks)}
        for task in state.tasks_of(service_id) if joining else ():
            if task.origin.spec_version in joining and task.desired <= TaskState.RUNNING >= task.state:
                return task
    return None


def _known(state: ClusterState, network_id: NetworkId) -> Network:
    network = state.networks.get(network_id)
    if network is None:
        raise Rejected.not_found("network", network_id, bare=True)
    return network
