"""Sets of assignments, secrets and configs among them."""

from skep.model.container import Driver
from skep.model.ids import ConfigId, SecretId
from skep.ports.link import (
    Action,
    AssignedConfig,
    AssignedSecret,
    AssignmentChange,
    AssignmentKind,
    AssignmentsMessage,
)
from skep_adapters.swarmkit.render_assignments import render_assignments
from skep_adapters.swarmkit.render_secret import render_config, render_secret
from skep_adapters.swarmkit.render_task import render_task
from skep_adapters.swarmkit.wire import dispatcher_pb2, objects_pb2

from tests.swarmkit.test_render_task import TASK

SECRET = AssignedSecret(SecretId("s1"), "key", b"\x00hush", Driver("golang"))
CONFIG = AssignedConfig(ConfigId("c1"), "conf", b"a: {{.Node.ID}}", Driver("golang", {"x": "y"}))


def message(*changes: AssignmentChange, kind: AssignmentKind = AssignmentKind.COMPLETE) -> AssignmentsMessage:
    return AssignmentsMessage(kind, "1", "2", changes)


def test_a_secret_is_sent_with_its_data_and_the_language_of_its_template() -> None:
    secret = render_secret(SECRET)
    assert (secret.id, secret.spec.annotations.name, secret.spec.data) == ("s1", "key", b"\x00hush")
    assert secret.spec.templating.name == "golang"


def test_a_config_is_sent_with_its_data_and_the_language_of_its_template() -> None:
    config = render_config(CONFIG)
    assert (config.id, config.spec.annotations.name, config.spec.data) == ("c1", "conf", b"a: {{.Node.ID}}")
    assert dict(config.spec.templating.options) == {"x": "y"}


def test_what_is_no_template_is_not_said_to_be_one() -> None:
    assert not render_secret(AssignedSecret(SecretId("s"), "n", b"")).spec.HasField("templating")
    assert not render_config(AssignedConfig(ConfigId("c"), "n", b"")).spec.HasField("templating")


def test_changes_keep_their_order() -> None:
    changes = (AssignmentChange(SECRET), AssignmentChange(CONFIG), AssignmentChange(TASK))
    rendered = render_assignments(message(*changes))
    assert [change.assignment.WhichOneof("item") for change in rendered.changes] == ["secret", "config", "task"]
    assert rendered.changes[2].assignment.task == render_task(TASK)
    assert {change.action for change in rendered.changes} == {dispatcher_pb2.AssignmentChange.UPDATE}


def test_an_empty_set_is_a_set() -> None:
    rendered = render_assignments(AssignmentsMessage(AssignmentKind.COMPLETE, "", "1", ()))
    assert rendered == dispatcher_pb2.AssignmentsMessage(results_in="1")


def test_a_change_says_what_it_applies_to() -> None:
    rendered = render_assignments(message(AssignmentChange(TASK), kind=AssignmentKind.INCREMENTAL))
    assert rendered.type == dispatcher_pb2.AssignmentsMessage.INCREMENTAL
    assert (rendered.applies_to, rendered.results_in) == ("1", "2")


def test_of_what_is_removed_only_the_id_is_sent() -> None:
    removed = [AssignmentChange(each, Action.REMOVE) for each in (TASK, SECRET, CONFIG)]
    task, secret, config = render_assignments(message(*removed)).changes
    assert {each.action for each in (task, secret, config)} == {dispatcher_pb2.AssignmentChange.REMOVE}
    assert task.assignment.task == objects_pb2.Task(id=TASK.id)
    assert secret.assignment.secret == objects_pb2.Secret(id="s1")
    assert config.assignment.config == objects_pb2.Config(id="c1")


def test_tasks_can_be_made_by_who_remembers_what_they_share() -> None:
    rendered = render_assignments(message(AssignmentChange(TASK)), lambda task: objects_pb2.Task(id=f"{task.id}!"))
    assert rendered.changes[0].assignment.task.id == f"{TASK.id}!"
