"""The socket that workers' connections come in at: so many at a time, and none of somebody who is gone."""

import contextlib
import socket
from typing import Any
from weakref import WeakSet

#: Of a silent connection the kernel asks after so many seconds whether somebody is there, and so often once more.
SILENT_S, ASK_EVERY_S, ASK_TIMES = 60, 15, 4


class Listener(socket.socket):
    """Takes over `plain`, which listens. Beyond `connections_max` a caller is sent away at once.

    Whoever connects has shown nothing yet: it must not take every file that this process may open.
    """

    def __init__(self, plain: socket.socket, connections_max: int) -> None:
        super().__init__(plain.family, plain.type, plain.proto, plain.detach())
        # what is set of a listener its connections have, too: without the first an answer, which may be several writes,
        # waits 40 ms for the acknowledgement of one; asyncio sees to it only where it made the socket
        for level, option, value in (
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_S),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, ASK_EVERY_S),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, ASK_TIMES),
        ):
            self.setsockopt(level, option, value)
        self._connections_max = connections_max
        self._connections: WeakSet[socket.socket] = WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            ConnectionAbortedError: there are too many; asyncio takes it for a caller that gave up.
        """
        connection, address = super().accept()
        if len(self._connections) >= self._connections_max:
            self._connections = WeakSet(one for one in self._connections if one.fileno() >= 0)
            if len(self._connections) >= self._connections_max:
                connection.close()
                raise ConnectionAbortedError
        self._connections.add(connection)
        return connection, address

    def disconnect(self) -> None:
        """End every connection: asyncio's server ends none when it is closed."""
        for connection in tuple(self._connections):
            with contextlib.suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)
