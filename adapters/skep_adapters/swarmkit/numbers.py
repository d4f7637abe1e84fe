"""Numbers that fit: a message refuses what its field cannot hold, and a spec may say what makes no sense."""

INT32_MAX = 2**31 - 1
UINT32_MAX = 2**32 - 1
INT64_MAX = 2**63 - 1
UINT64_MAX = 2**64 - 1


def int32(number: int) -> int:
    """Return the nearest number that a signed field of 32 bits holds."""
    return min(max(number, -INT32_MAX - 1), INT32_MAX)


def uint32(number: int) -> int:
    """Return the nearest number that an unsigned field of 32 bits holds."""
    return min(max(number, 0), UINT32_MAX)


def int64(number: int) -> int:
    """Return the nearest number that a signed field of 64 bits holds."""
    return min(max(number, -INT64_MAX - 1), INT64_MAX)


def uint64(number: int) -> int:
    """Return the nearest number that an unsigned field of 64 bits holds."""
    return min(max(number, 0), UINT64_MAX)
