"""Errors as the Engine API answers them: a status and a sentence.

The words and statuses are those recorded of a real swarm (contract, README: every distinct error).
"""

from skep.core.rejected import Code, Rejected
from skep.ports.keyring import KeyringError
from skep.runtime.errors import EngineError, MalformedUnlockKey, NotLocked, OutcomeUnknown, UnlockRefused

NOT_IN_A_SWARM = "This node is not part of a swarm"
PAGE_NOT_FOUND = "page not found"

_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.FAILED_PRECONDITION: 400,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNKNOWN: 500,
}


class ApiError(Exception):
    """What a request is answered instead of a result; `str()` is the sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def bad_request(message: str) -> ApiError:
    """Return the answer to a request that cannot be understood."""
    return ApiError(400, message)


def not_implemented(what: str) -> ApiError:
    """Return the answer to a request for what skep does not do; `what` is a plural noun, or a field with its value."""
    return ApiError(501, f"skep does not implement {what}")


def as_api_error(error: Exception) -> ApiError | None:
    """Return how an expected error of the engine is answered; None if it is not an expected one."""
    match error:
        case ApiError():
            return error
        case Rejected():
            return ApiError(_STATUS[error.code], rejection_text(error))
        case OutcomeUnknown():
            return ApiError(500, str(error))
        case MalformedUnlockKey():
            return ApiError(400, str(error))
        case UnlockRefused():
            return ApiError(401, str(error))
        case NotLocked():
            return ApiError(409, str(error))
        case EngineError() | KeyringError():
            return ApiError(503, str(error))
    return None


def rejection_text(error: Rejected) -> str:
    """Return a rejection's sentence with Swarm's prefix where the record shows one."""
    if error.bare or error.code is Code.NOT_FOUND:
        return str(error)
    return f"rpc error: code = {error.code.value} desc = {error}"
