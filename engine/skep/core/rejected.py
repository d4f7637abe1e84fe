"""Rejections: the expected answer to a command that cannot be."""

import enum


class Code(enum.StrEnum):
    """Why, in the words that Swarm's own API uses inside (gRPC's codes)."""

    INVALID_ARGUMENT = "InvalidArgument"
    NOT_FOUND = "NotFound"
    ALREADY_EXISTS = "AlreadyExists"
    FAILED_PRECONDITION = "FailedPrecondition"
    PERMISSION_DENIED = "PermissionDenied"
    RESOURCE_EXHAUSTED = "ResourceExhausted"
    UNIMPLEMENTED = "Unimplemented"
    UNKNOWN = "Unknown"


class Rejected(Exception):
    """The user asked for what cannot be. `str()` is Swarm's recorded sentence, without its rpc prefix.

    `bare` says that the Engine API answers the sentence alone: it was refused before, or beside, Swarm's own API.
    Without it the answer is "rpc error: code = ... desc = " and the sentence.
    """

    def __init__(self, code: Code, message: str, *, bare: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.bare = bare

    @classmethod
    def invalid(cls, message: str, *, bare: bool = False) -> "Rejected":
        """Return a rejection of a value."""
        return cls(Code.INVALID_ARGUMENT, message, bare=bare)

    @classmethod
    def precondition(cls, message: str, *, bare: bool = False) -> "Rejected":
        """Return a rejection of a command at the wrong time."""
        return cls(Code.FAILED_PRECONDITION, message, bare=bare)

    @classmethod
    def not_found(cls, kind: str, name: str, *, bare: bool = False) -> "Rejected":
        """Return a rejection of a name that nothing has."""
        return cls(Code.NOT_FOUND, f"{kind} {name} not found", bare=bare)

    @classmethod
    def ambiguous(cls, kind: str, name: str, matches: int, *, bare: bool = True) -> "Rejected":
        """Return a rejection of a name that several things have."""
        return cls(Code.INVALID_ARGUMENT, f"{kind} {name} is ambiguous ({matches} matches found)", bare=bare)

    @classmethod
    def unimplemented(cls, message: str, *, bare: bool = False) -> "Rejected":
        """Return a rejection of what this version, or Swarm itself, does not do."""
        return cls(Code.UNIMPLEMENTED, message, bare=bare)

    @classmethod
    def unknown(cls, message: str, *, bare: bool = False) -> "Rejected":
        """Return a rejection that Swarm gives no code (the Engine API answers 500)."""
        return cls(Code.UNKNOWN, message, bare=bare)

    @classmethod
    def out_of_sequence(cls) -> "Rejected":
        """Return the rejection of a stale version."""
        return cls(Code.UNKNOWN, "update out of sequence")


class Broken(Exception):
    """An invariant does not hold: a bug, or a log that this version cannot fold. The message is the object's story."""
