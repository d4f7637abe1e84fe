"""Sets of assignments, in the order in which they come: what a task needs stands before it."""

from collections.abc import Callable

from skep.ports.link import AssignedConfig, AssignedSecret, AssignedTask, AssignmentChange, AssignmentsMessage

from skep_adapters.swarmkit.render_secret import render_config, render_secret
from skep_adapters.swarmkit.render_task import render_task
from skep_adapters.swarmkit.wire import dispatcher_pb2, objects_pb2

#: Makes a task's message: whoever sends many tasks remembers what they share.
TaskRenderer = Callable[[AssignedTask], objects_pb2.Task]


def render_assignments(
    message: AssignmentsMessage, task: TaskRenderer = render_task
) -> dispatcher_pb2.AssignmentsMessage:
    """Return a message of an Assignments stream.

    `applies_to` must be the `results_in` of the message before: an agent that sees another asks again at once, without
    end.
    """
    return dispatcher_pb2.AssignmentsMessage(
        type=message.kind.name,
        applies_to=message.applies_to,
        results_in=message.results_in,
        changes=[_change(change, task) for change in message.changes],
    )


def _change(change: AssignmentChange, render: TaskRenderer) -> dispatcher_pb2.AssignmentChange:
    assignment = _removed(change) if change.action else _updated(change, render)
    return dispatcher_pb2.AssignmentChange(assignment=assignment, action=change.action.name)


def _updated(change: AssignmentChange, render: TaskRenderer) -> dispatcher_pb2.Assignment:
    match change.assignment:
        case AssignedTask() as task:
            return dispatcher_pb2.Assignment(task=render(task))
        case AssignedSecret() as secret:
            return dispatcher_pb2.Assignment(secret=render_secret(secret))
        case AssignedConfig() as config:
            return dispatcher_pb2.Assignment(config=render_config(config))


def _removed(change: AssignmentChange) -> dispatcher_pb2.Assignment:
    """Return what is removed: only its id counts, and nothing more of it is sent."""
    match change.assignment:
        case AssignedTask(id=task_id):
            return dispatcher_pb2.Assignment(task=objects_pb2.Task(id=task_id))
        case AssignedSecret(id=secret_id):
            return dispatcher_pb2.Assignment(secret=objects_pb2.Secret(id=secret_id))
        case AssignedConfig(id=config_id):
            return dispatcher_pb2.Assignment(config=objects_pb2.Config(id=config_id))
