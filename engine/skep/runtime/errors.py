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


class SwarmLocked(NoSwarm):
    """There is a swarm here, and nothing can be done with it before it is unlocked."""

    def __init__(self) -> None:
        Exception.__init__(
            self,
            "Swarm is encrypted and needs to be unlocked before it can be used. "
            'Please use "docker swarm unlock" to unlock it.',
        )


class LockedLeave(EngineError):
    """Leaving would end a swarm that is locked, and nobody said that it may."""

    def __init__(self) -> None:
        super().__init__(
            "Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message."
        )


class NotLocked(EngineError):
    """There is nothing to unlock."""

    def __init__(self) -> None:
        super().__init__("swarm is not locked")


class MalformedUnlockKey(EngineError):
    """That is no unlock key."""

    def __init__(self) -> None:
        super().__init__("invalid key string")


class UnlockRefused(EngineError):
    """That is the unlock key of another swarm, or a former one."""

    def __init__(self) -> None:
        super().__init__("swarm could not be unlocked: invalid key provided")


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
