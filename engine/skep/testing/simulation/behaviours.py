"""What simulated tasks do: it follows from the image and the task's id, so that one story repeats itself."""

from random import Random

from skep.ports.link import AssignedTask
from skep.runtime.simulated import Behaviour

#: What some tasks have in their environment.
TEMPLATES = {"HOST": "{{.Node.Hostname}}", "SLOT": "{{.Task.Slot}}"}

#: Images whose tasks come to run and go on running, sooner or later.
STEADY = ("steady", "slow", "lame")

#: Images whose tasks end by themselves, or never run.
FLEETING = ("crashing", "finishing", "rejected", "unstartable", "moody")


def expanded(task: AssignedTask) -> bool:
    """Whether a task had templates in its environment.

    Raises:
        AssertionError: they are not what its node and its slot make of them.
    """
    container = task.template.spec.container_spec
    env = dict(text.partition("=")[::2] for text in (container.env if container else ()))
    made = {key: env[key] for key in TEMPLATES if key in env}
    if made and made != {"HOST": task.node_hostname, "SLOT": str(task.slot) if task.slot > 0 else task.node_id}:
        raise AssertionError(f"{task} has {made} for {TEMPLATES}")
    return bool(made)


def behave(task: AssignedTask) -> Behaviour:
    """Return what `task` does."""
    container = task.template.spec.container_spec
    image = (container.image if container else "").partition(":")[0]
    random = Random(task.id)  # noqa: S311 - it must repeat itself
    match image:
        case "slow":
            return Behaviour(pull_s=random.uniform(0, 3), start_s=random.uniform(0, 2), healthy_s=random.uniform(0, 1))
        case "lame":
            return Behaviour(stop_s=random.uniform(0, 14))
        case "crashing":
            return Behaviour(start_s=0.1, run_s=random.uniform(0, 8), exit_code=random.choice((1, 2, 137)))
        case "finishing":
            return Behaviour(start_s=0.1, run_s=random.uniform(0, 8))
        case "rejected":
            return Behaviour(pull_s=random.uniform(0, 1), reject="No such image: rejected")
        case "moody" if random.randrange(3) == 0:
            return Behaviour(start_s=random.uniform(0, 2), fail_start="starting container failed: not today")
        case "unstartable":
            return Behaviour(start_s=random.uniform(0, 1), fail_start="starting container failed: no such command")
    return Behaviour()
