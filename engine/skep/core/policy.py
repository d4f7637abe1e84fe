"""What a service's spec says about restarts and updates, with Swarm's defaults filled in."""

from msgspec import Struct

from skep.model.ids import NANOSECONDS
from skep.model.service import RestartPolicy, ServiceSpec, TaskSpec, UpdateConfig

DEFAULT_RESTART_DELAY = 5 * NANOSECONDS
DEFAULT_MONITOR = 5 * NANOSECONDS
NO_POLICY = RestartPolicy()


class Restarts(Struct, frozen=True):
    """When a task that ended is replaced; `attempts` 0 is without end. Durations in nanoseconds."""

    condition: str
    delay: int
    attempts: int
    window: int


def restarts_of(spec: TaskSpec) -> Restarts:
    """Return the restart policy of a template."""
    policy = spec.restart_policy or NO_POLICY
    return Restarts(
        condition=policy.condition or "any",
        delay=DEFAULT_RESTART_DELAY if policy.delay is None else policy.delay,
        attempts=policy.max_attempts or 0,
        window=policy.window or 0,
    )


class Rollout(Struct, frozen=True):
    """How an update goes through the slots; `parallelism` 0 is all at once. Durations in nanoseconds."""

    parallelism: int
    delay: int
    monitor: int
    failure_action: str
    max_failure_ratio: float
    start_first: bool


def rollout_of(spec: ServiceSpec, *, rollback: bool) -> Rollout:
    """Return how an update, or a rollback, of a service goes."""
    config = (spec.rollback_config if rollback else spec.update_config) or UpdateConfig()
    return Rollout(
        parallelism=1 if config.parallelism is None else config.parallelism,
        delay=config.delay,
        monitor=config.monitor or DEFAULT_MONITOR,
        failure_action=config.failure_action or "pause",
        max_failure_ratio=config.max_failure_ratio or 0.0,
        start_first=config.order == "start-first",
    )
