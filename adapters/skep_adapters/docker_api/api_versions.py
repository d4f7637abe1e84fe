"""Versions of the Engine API, compared by their numbers."""


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version; none for what is no version."""
    parts = [part for part in version.split(".") if part]
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()


def older(one: str, other: str) -> str:
    """Return the older of two versions; one that is not known does not count."""
    known = [version for version in (one, other) if numbers(version)]
    return min(known, key=numbers, default="")


def before(version: str, limit: str) -> bool:
    """Say whether a version is older than another; what is no version is not."""
    known = numbers(version)
    return bool(known) and known < numbers(limit)


def newer(one: str, other: str) -> str:
    """Return the newer of two versions."""
    return max(one, other, key=numbers)
