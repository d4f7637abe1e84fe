"""Rejections: the expected answer to a command that cannot be."""

import enum


class Code(enum.StrEnum):
    """Why, in the words that Swarm's own API uses inside (gRPC's codes)."""

    INVALID_ARGUMENT = "InvalidArgument"
    NOT_FOUND = "NotFound"
    ALREADY_EXISTS = "AlreadyExists"
    FAILED_PRECONDITION = "FailedPrecondition"
    UNIMPLEMENTED = "Unimplemented"
    UNKNOWN = "Unknown"


class Rejected(Exception):
    """The user asked for what cannot be. `str()` is Swarm's recorded sentence, without its rpc prefix."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code

    @classmethod
    def invalid(cls, message: str) -> "Rejected":
        """Return a rejection of a value."""
        return cls(Code.INVALID_ARGUMENT, message)

    @classmethod
    def precondition(cls, message: str) -> "Rejected":
        """Return a rejection of a command at the wrong time."""
        return cls(Code.FAILED_PRECONDITION, message)

    @classmethod
    def not_found(cls, kind: str, name: str) -> "Rejected":
        """Return a rejection of a name that nothing has."""
        return cls(Code.NOT_FOUND, f"{kind} {name} not found")

    @classmethod
    def out_of_sequence(cls) -> "Rejected":
        """Return the rejection of a stale version."""
        return cls(Code.UNKNOWN, "update out of sequence")


class Broken(Exception):
    """An invariant does not hold: a bug, or a log that this version cannot fold. The message is the object's story."""
