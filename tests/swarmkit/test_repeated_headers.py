"""What is known of header blocks is what hpack says of them, whatever came between."""

from typing import Any

import pytest
from hpack import Decoder, Encoder
from hypothesis import example, given
from hypothesis import strategies as st
from skep_adapters.swarmkit.repeated_headers import BLOCK_BYTES_MAX, KNOWN_MAX, RepeatedDecoder, RepeatedEncoder
from skep_adapters.swarmkit.wire import dispatcher_pb2
from skep_adapters.swarmkit.wire.dispatcher_grpc import DispatcherStub

from tests.swarmkit.test_server_callers import begun
from tests.swarmkit.worker import listening

OK = (b":status", b"200"), (b"content-type", b"application/grpc")
LONG = (b"long", bytes(3000)), (b"longer", bytes(3001))

BLOCKS = [OK[:1], OK, OK[::-1], ((b"grpc-status", b"0"),), LONG[:1], LONG[1:], ((b"grpc-timeout", b"5S"), *OK)]

# a table of no size, one that little fits in, and the usual one
steps = st.lists(st.sampled_from([*BLOCKS, 0, 100, 4096]), max_size=40)


@given(steps)
@example([OK, OK, 100, OK, OK])
@example([LONG[:1], LONG[:1], LONG[1:], LONG[1:]])
def test_blocks_are_those_of_hpack_and_mean_what_they_mean_to_it(rows: list[Any]) -> None:
    plain, ours = Encoder(), RepeatedEncoder()
    decoders = Decoder(), RepeatedDecoder(Decoder())
    for row in rows:
        if isinstance(row, int):
            if row != plain.header_table_size:  # of the same size again hpack (4.2) makes blocks that it cannot read
                plain.header_table_size = ours.header_table_size = row
            continue
        block = plain.encode(row)
        assert ours.encode(row) == block
        read = [tuple(decoder.decode(block, raw=True)) for decoder in decoders]
        assert read == [row, row]


def test_what_is_known_of_a_connection_is_bounded() -> None:
    decoder = RepeatedDecoder(Decoder())
    for number in range(10 * KNOWN_MAX):
        first, second = divmod(number, 60)
        decoder.decode(bytes([0x81 + first, 0x81 + second]), raw=True)
    assert len(decoder._known) == KNOWN_MAX
    decoder = RepeatedDecoder(Decoder())
    decoder.decode(b"\x82" * (BLOCK_BYTES_MAX + 1), raw=True)
    assert not decoder._known


async def test_a_call_like_those_before_needs_no_hpack(monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[object] = []

    def watch(kind: type[Any], ours: type[Any], name: str) -> None:
        plain = getattr(kind, name)

        def watched(self: Any, *args: Any, **options: Any) -> Any:
            if isinstance(self, ours):  # the worker is in this process, too
                worked.append(args)
            return plain(self, *args, **options)

        monkeypatch.setattr(kind, name, watched)

    watch(Decoder, RepeatedDecoder, "decode")
    watch(Encoder, RepeatedEncoder, "encode")
    async with listening() as port:
        _, worker = await port.joined()
        request = dispatcher_pb2.HeartbeatRequest(session_id=await begun(worker))
        for _ in range(2):
            await DispatcherStub(worker).Heartbeat(request)
        assert worked
        worked.clear()
        for _ in range(3):
            await DispatcherStub(worker).Heartbeat(request)
        assert worked == []
