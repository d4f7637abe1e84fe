"""Replicated services: as many slots in use as replicas are wanted; none where the service is gone."""

from collections.abc import Container
from heapq import heapify, heappop, heapreplace
from itertools import count, islice

from skep.core.commands import DesireTasks
from skep.core.events import ROWS_MAX
from skep.core.indexes import ServiceTasks
from skep.core.plan.orchestrator.creation import create
from skep.core.plan.plan import CONTENT, Ids, Plan
from skep.core.state import ClusterState
from skep.model.ids import Instant, Seat, ServiceId, TaskId
from skep.model.service import Service
from skep.model.states import TaskState


def plan_replicas(state: ClusterState, key: str, now: Instant, ids: Ids) -> Plan:  # noqa: ARG001 - needs no time
    """Return what brings a service to its number of replicas."""
    service_id = ServiceId(key)
    service = state.services.get(service_id)
    index = state.service_tasks.get(service_id)
    if service is None:
        return _remove_all(state, index)
    replicas = service.spec.replicas
    if replicas is None:
        return CONTENT
    used = index.wanted_by_seat if index else {}
    given_up = state.given_up.get(service_id, {})
    missing = replicas - len(used) - len(given_up)
    if missing > 0:
        return _scale_up(service, {*used, *given_up}, missing, ids)
    if missing < 0:
        return _scale_down(state, service, -missing)
    return CONTENT


def _scale_up(service: Service, taken: Container[Seat], missing: int, ids: Ids) -> Plan:
    """Use the lowest slots that are free (FACTS, chapter 5)."""
    rows = min(missing, ROWS_MAX)
    slots = list(islice((slot for slot in count(1) if slot not in taken), rows))
    return Plan((create(service, slots, ids),), cause=service.written, more=missing > rows)


def _scale_down(state: ClusterState, service: Service, surplus: int) -> Plan:
    """Take slots from the nodes that have most, the highest first; those that gave up go before (FACTS, chapter 5).

    Of a node's slots those go first in which nothing runs, and of nodes with as many, the one that has such (as in
    SwarmKit).
    """
    index = state.service_tasks[service.id]
    given_up = state.given_up.get(service.id, {})
    victims = sorted(map(int, given_up), reverse=True)[:surplus]
    load: dict[str, list[tuple[bool, int]]] = {}
    for slot in sorted(map(int, index.wanted_by_seat)):
        tasks = [state.tasks[i] for i in index.wanted_by_seat[slot]]
        runs = any(task.state is TaskState.RUNNING for task in tasks)
        load.setdefault(tasks[-1].node_id, []).append((runs, -slot))
    # those without a node first, they cost nothing; then always the fullest node
    victims += [-slot for _, slot in sorted(load.pop("", []))[: surplus - len(victims)]]
    for slots in load.values():
        slots.sort(reverse=True)
    fullest = [(-len(slots), *slots[-1], node) for node, slots in load.items()]
    heapify(fullest)
    while len(victims) < min(surplus, ROWS_MAX) and fullest:
        node = fullest[0][-1]
        slots = load[node]
        victims.append(-slots.pop()[1])
        if slots:
            heapreplace(fullest, (-len(slots), *slots[-1], node))
        else:
            heappop(fullest)
    leaving: list[TaskId] = []
    for slot in victims:
        leaving += index.wanted_by_seat.get(slot, ())
        if slot in given_up:
            leaving.append(given_up[slot])
    remove = DesireTasks(tuple(leaving[:ROWS_MAX]), TaskState.REMOVE)
    return Plan((remove,), cause=service.written, more=len(leaving) > ROWS_MAX or len(victims) < surplus)


def _remove_all(state: ClusterState, index: ServiceTasks | None) -> Plan:
    """Want every task of a removed service gone, ROWS_MAX at a time: one record must hold them."""
    if index is None or index.removing == len(index.all):
        return CONTENT
    rows = [i for i in index.all if state.tasks[i].desired is not TaskState.REMOVE]
    first = tuple(rows[:ROWS_MAX])
    cause = max(state.tasks[i].version for i in first)
    return Plan((DesireTasks(first, TaskState.REMOVE),), cause=cause, more=len(rows) > ROWS_MAX)
