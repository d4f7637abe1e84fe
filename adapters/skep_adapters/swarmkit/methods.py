"""Every method of the protocol, and the answer of those that are not offered.

grpclib answers a method that it does not know without a content type, and dockerd takes that for a broken peer
("code = Unknown"). So each method is registered, and answers UNIMPLEMENTED in proper form. On that answer an agent
falls back, or goes without.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.server import Stream

from skep_adapters.swarmkit.wire import ca_pb2, dispatcher_pb2, health_pb2, logbroker_pb2, managers_pb2, resource_pb2

_FILES = (ca_pb2, dispatcher_pb2, health_pb2, logbroker_pb2, resource_pb2, managers_pb2)


#: By whether the client streams, and whether the server does.
_CARDINALITIES = {(each.value.client_streaming, each.value.server_streaming): each for each in Cardinality}


#: The path of every method, as an HTTP/2 request has it, and which sides of it are streams.
METHODS: Mapping[str, Cardinality] = MappingProxyType(
    {
        f"/{service.full_name}/{method.name}": _CARDINALITIES[method.client_streaming, method.server_streaming]
        for file in _FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
)


class Unimplemented:
    """Answers the methods that nobody else answers; give it to a grpclib server beside the others."""

    def __init__(self, offered: Iterable[str]) -> None:
        self._offered = frozenset(offered)

    def __mapping__(self) -> dict[str, Handler]:
        """Return a handler for every method that is not offered. What it is sent is not looked at."""
        return {
            path: Handler(_refusal(path), cardinality, Empty, Empty)
            for path, cardinality in METHODS.items()
            if path not in self._offered
        }


def _refusal(path: str) -> Callable[[Stream[Any, Any]], Awaitable[None]]:
    async def refuse(_: Stream[Any, Any]) -> None:
        raise GRPCError(Status.UNIMPLEMENTED, f"{path} is not offered by this manager")

    return refuse
