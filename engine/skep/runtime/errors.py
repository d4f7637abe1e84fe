"""What the embedding API raises beside `Rejected`."""


class EngineError(Exception):
    """Something about the engine's surroundings; the message says what, and what to do."""


class NoSwarm(EngineError):
    """There is no swarm here: it was never begun, or was left."""

    def __init__(self) -> None:
        super().__init__(
            'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node '
            "to swarm and try again."
        )


class AlreadyInSwarm(EngineError):
    """There is a swarm here already."""

    def __init__(self) -> None:
        super().__init__(
            'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
        )


class LastManager(EngineError):
    """Leaving would end the swarm, and nobody said that it may."""

    def __init__(self) -> None:
        super().__init__(
            "You are attempting to leave the swarm on a node that is participating as a manager. Removing the last "
            "manager erases all current state of the swarm. Use `--force` to ignore this message. "
        )


class CannotListen(EngineError):
    """The address for workers cannot be listened at."""


class Unavailable(EngineError):
    """The engine takes no commands just now (its log cannot be written); try again. Nothing was done."""


class OutcomeUnknown(EngineError):
    """The command may or may not have been done: look before you send it again, or send it with the same id."""


class TimedOut(EngineError):
    """What was waited for did not come in time; the message says what is still missing."""


class EngineFailed(EngineError):
    """The engine failed for good (its log was taken or is damaged, or a bug): open it again, or read the message."""
