"""What a story of random steps must have come to once it was left alone."""

from skep.model.service import (
    Service,
)
from skep.model.states import TaskState
from skep.testing.core_swarm import CoreSwarm


def assert_at_rest(story: CoreSwarm) -> None:
    """Every service has what it wants, or says why not; and nothing is kept for nobody."""
    for service_id in story.state.service_tasks:
        assert service_id in story.state.services, f"tasks are left of {service_id}"
    for service in story.state.services.values():
        status = service.update_status
        paused = status is not None and "paused" in status.state
        port_missing = service.endpoint is None and service.spec.endpoint_spec is not None
        tasks = story.tasks(service.id, wanted=True)
        if service.spec.container.image == "bad" or paused or port_missing:
            continue
        # only what no node may have waits for ever, and an update with it
        held = [t for t in tasks if t.status.err and story.state.template_of(t).spec.placement]
        if held:
            continue
        assert service.id not in story.state.rebalances, f"{service} is rebalanced for ever: {tasks}"
        given_up = story.state.given_up.get(service.id, {})
        if service.spec.kind.is_job:
            assert_done(story, service)
            continue
        seats = len(story.state.nodes) if service.spec.kind.per_node else service.spec.replicas or 0
        assert len(tasks) == max(0, seats - len(given_up)), f"{service} has {tasks}"
        assert status is None or status.state.endswith("completed"), service
        for task in tasks:
            assert task.state is TaskState.RUNNING, f"{task} of {service}"


def assert_done(story: CoreSwarm, service: Service) -> None:
    """A job's present run completed all that did not give up, if it may run anything."""
    assert not [t for t in story.tasks(service.id) if not t.state.terminal], f"{service} goes on for ever"
    there = (
        len(story.state.service_tasks[service.id].completed.get(service.spec_version, {}))
        if service.id in (story.state.service_tasks)
        else 0
    )
    total, at_once = job_numbers(service) or (len(story.state.nodes), 1)
    nodes_that_left = [
        seat
        for of in (story.state.service_tasks.get(service.id),)
        if of is not None and service.spec.kind.per_node
        for seat in of.completed.get(service.spec_version, {})
        if seat not in story.state.nodes
    ]
    wanted = total + len(nodes_that_left) if at_once else 0
    assert there + len(story.state.given_up.get(service.id, {})) == wanted, f"{service} completed {there} of {wanted}"


def job_numbers(service: Service) -> tuple[int, int] | None:
    """Return how often a replicated job is to complete, and how many at once."""
    mode = service.spec.mode
    if mode is None or mode.replicated_job is None:
        return None
    return mode.replicated_job.total_completions or 0, mode.replicated_job.max_concurrent or 0
