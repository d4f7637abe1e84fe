"""Headers on their way through: what belongs to one connection only stays behind (RFC 9110, section 7.6.1)."""

from collections.abc import Mapping

from aiohttp import hdrs
from multidict import CIMultiDict

#: The fields of one connection. `Expect` is answered here, so the engine is not asked again.
_HOP_BY_HOP = (
    hdrs.CONNECTION,
    "Keep-Alive",
    "Proxy-Connection",
    hdrs.PROXY_AUTHENTICATE,
    hdrs.PROXY_AUTHORIZATION,
    hdrs.TE,
    hdrs.TRAILER,
    hdrs.TRANSFER_ENCODING,
    hdrs.UPGRADE,
    hdrs.EXPECT,
)


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return what is meant for the other end, without the fields that `Connection` names."""
    kept = CIMultiDict(headers)
    for name in (*tokens(headers), *_HOP_BY_HOP):
        kept.popall(name, None)
    return kept


def tokens(headers: Mapping[str, str]) -> list[str]:
    """Return what `Connection` names, in lower case."""
    named = CIMultiDict(headers).getall(hdrs.CONNECTION, [])
    return [token.strip().lower() for field in named for token in field.split(",") if token.strip()]


def upgrade(headers: Mapping[str, str]) -> str:
    """Return the protocol that a request asks to go on with; empty if none."""
    return headers.get(hdrs.UPGRADE, "") if "upgrade" in tokens(headers) else ""
