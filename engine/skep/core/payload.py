"""Payloads: the large part of a command that its event holds too is stored once, in the event.

A record keeps its input so that the decision can be run again; the data of a secret or config would stand in it twice
and pass the record's limit. `slim` takes it out of the input, `restore` feeds it back from the events.
"""

from msgspec.structs import replace

from skep.core.commands import Command, CreateConfig, CreateSecret, UpdateConfigObject
from skep.core.events import ConfigCreated, Event, SecretCreated
from skep.core.record import Submitted


def slim(submitted: Submitted) -> Submitted:
    """Return the input as it is stored."""
    return replace(submitted, commands=tuple(_slim(command) for command in submitted.commands))


def restore(submitted: Submitted, events: tuple[Event, ...]) -> Submitted:
    """Return the input as it was sent, given the events that it led to."""
    secrets = {e.secret_id: e.sealed for e in events if isinstance(e, SecretCreated)}
    configs = {e.config_id: e.spec.data for e in events if isinstance(e, ConfigCreated)}

    def fed(command: Command) -> Command:
        if isinstance(command, CreateSecret):
            return replace(command, sealed=secrets.get(command.secret_id))
        if isinstance(command, CreateConfig):
            return replace(command, spec=replace(command.spec, data=configs.get(command.config_id, b"")))
        return command

    return replace(submitted, commands=tuple(fed(command) for command in submitted.commands))


def _slim(command: Command) -> Command:
    if isinstance(command, CreateSecret):
        return replace(command, sealed=None)
    if isinstance(command, CreateConfig | UpdateConfigObject):
        # an update that was accepted sent the data that the config has, or none: deciding without gives the same
        return replace(command, spec=replace(command.spec, data=b""))
    return command
