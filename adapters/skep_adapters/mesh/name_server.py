"""A small DNS server for tasks. It knows the names of some networks, and forwards nothing.

Each set of networks has a server of its own, on a port of its own, and each task is told that of its networks: so who
asks need not be known, and cannot say that it is somebody else.
"""

import asyncio
import socket
from collections.abc import Callable

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

#: Seconds for which an answer may be kept: none, since a task's address is nobody's as soon as it ends.
TTL_S = 0

#: The most that is sent over UDP: what a client without EDNS takes, and with it what the loopback carries with ease.
_PLAIN_BYTES, _EDNS_BYTES = 512, 4096

#: Questions over TCP at a time, and how long one may take.
_CONNECTIONS_MAX = 32
_QUESTION_S = 5.0

_AT_ONCE = 64

_DRAWS = 20

Find = Callable[[str], list[str]]


class NameServer:
    """Answers at one address, over UDP and TCP. Bound when it is made; `serve` lets it answer."""

    def __init__(self, addr: str, find: Find) -> None:
        self._find = find
        self._udp, self._tcp = _bind(addr)
        self.addr = f"{addr}:{self._udp.getsockname()[1]}"
        self._connections = 0
        self._closed = False
        self._server: asyncio.Server | None = None
        asyncio.get_running_loop().add_reader(self._udp, self._take)

    async def serve(self) -> None:
        """Answer over TCP, too, from now on."""
        if self._closed:
            return
        self._server = await asyncio.start_server(self._converse, sock=self._tcp)
        if self._closed:  # meanwhile
            self._server.close()

    def close(self) -> None:
        """Answer no more."""
        self._closed = True
        asyncio.get_running_loop().remove_reader(self._udp)
        self._udp.close()
        if self._server is not None:
            self._server.close()
        else:
            self._tcp.close()

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                question, client = self._udp.recvfrom(_EDNS_BYTES)
                reply = answer(question, self._find)
                if reply is not None:
                    self._udp.sendto(_fitting(reply), client)
            except OSError:
                return  # nothing more; or the client is gone, and the rest has its turn when the loop looks again

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= _CONNECTIONS_MAX:
                async with asyncio.timeout(_QUESTION_S):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    reply = answer(await reader.readexactly(length), self._find)
                    if reply is not None:
                        writer.write(reply.to_wire(prepend_length=True, want_shuffle=False))
                        await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self._connections -= 1
            writer.close()


def answer(question: bytes, find: Find) -> dns.message.Message | None:
    """Return what is said to `question`; None if it is none."""
    try:
        query = dns.message.from_wire(question)
        if query.flags & dns.flags.QR:
            return None
        reply = dns.message.make_response(query, recursion_available=True)
    except dns.exception.DNSException:
        return None
    if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
        reply.set_rcode(dns.rcode.NOTIMP)
        return reply
    asked = query.question[0]
    addrs = find(asked.name.to_text(omit_final_dot=True))
    if not addrs or asked.rdclass != dns.rdataclass.IN:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif asked.rdtype in (dns.rdatatype.A, dns.rdatatype.ANY):
        reply.answer.append(dns.rrset.from_text_list(asked.name, TTL_S, "IN", "A", addrs))
    return reply


def _fitting(reply: dns.message.Message) -> bytes:
    """Return as much as one datagram may hold; who is told that it is not all asks over TCP."""
    room = min(max(reply.request_payload, _PLAIN_BYTES), _EDNS_BYTES)
    return reply.to_wire(max_size=room, prefer_truncation=True, want_shuffle=False)


def _bind(addr: str) -> tuple[socket.socket, socket.socket]:
    """Return sockets of UDP and TCP with the same number. Raises `OSError`."""
    for draw in range(_DRAWS):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            udp.bind((addr, 0))
            tcp.bind((addr, udp.getsockname()[1]))
        except OSError:
            udp.close()
            tcp.close()
            if draw == _DRAWS - 1:
                raise
        else:
            udp.setblocking(False)
            tcp.setblocking(False)
            return udp, tcp
    raise AssertionError("the last draw returns or raises")
