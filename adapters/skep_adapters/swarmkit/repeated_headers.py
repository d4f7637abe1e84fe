"""HPACK for calls that are all alike: a block that only points into the header table is worked out once.

An agent makes the same few calls again and again, and every answer has the same headers, so after the first of each
a block is a row of one-byte indices. What such a block means changes only when the table does, which takes a block of
another kind: that is hpack's to read and write, and drops what is known here.
"""

from collections.abc import Iterable
from typing import Any

from hpack import Decoder, Encoder, HeaderTuple

#: Blocks that are known of a connection, and the bytes of one: an agent has about ten, of ten bytes.
KNOWN_MAX = 32
BLOCK_BYTES_MAX = 32

#: A byte that points to a field of the table: the first bit is set, the others are neither 0 nor say that more comes.
POINTERS = frozenset(range(0x81, 0xFF))


class RepeatedDecoder(Decoder):
    """Takes the place of `plain`, which has decoded nothing yet."""

    def __init__(self, plain: Decoder) -> None:
        super().__init__(plain.max_header_list_size)
        self.max_allowed_table_size = plain.max_allowed_table_size
        self._known: dict[bytes, tuple[HeaderTuple, ...]] = {}

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        """Return the headers of a block; raises as hpack does."""
        found = self._known.get(data) if raw else None
        if found is not None:
            return list(found)
        headers = super().decode(data, raw)
        if not _only_points(data):
            self._known.clear()
        elif raw and len(self._known) < KNOWN_MAX:
            headers = list(headers)
            self._known[bytes(data)] = tuple(headers)
        return headers


class RepeatedEncoder(Encoder):
    """Takes the place of an encoder that has encoded nothing yet."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[Any, ...], bytes] = {}

    def encode(self, headers: Any, huffman: bool = True) -> bytes:
        """Return the block of some headers."""
        row = tuple(headers)
        if self.table_size_changes:  # the table is another one, and the next block must say so
            self._known.clear()
        found = self._known.get(row)
        if found is not None:
            return found
        block = super().encode(row, huffman)
        if not _only_points(block):
            self._known.clear()
        elif len(self._known) < KNOWN_MAX:
            self._known[row] = block
        return block


def _only_points(block: bytes) -> bool:
    """Say whether every byte of a short block is an index: such a block leaves the table as it is."""
    return len(block) <= BLOCK_BYTES_MAX and POINTERS.issuperset(block)
