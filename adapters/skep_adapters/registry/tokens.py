"""Showing who one is: what to send to a registry after its challenge.

A password is sent to the registry itself, or to the server of tokens that the registry names; to the latter over https
only, unless it is the host of a registry that is itself asked over http.
"""

import base64
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from skep.ports.registry import RegistryError
from yarl import URL

from skep_adapters.registry import http as requests
from skep_adapters.registry.challenge import Challenge
from skep_adapters.registry.refusals import refusal

#: Who asks, as servers of refresh tokens want to know.
CLIENT_ID = "skep"

_OK = 200


class Login(msgspec.Struct, frozen=True):
    """Who asks; everything empty if nobody in particular."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    def __repr__(self) -> str:
        """Hide everything."""
        return "Login()"

    @property
    def basic(self) -> dict[str, str]:
        """The header that shows a password."""
        if not self.username:
            return {}
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}


def login(credentials: Mapping[str, str]) -> Login:
    """Read what clients send; `auth` is name and password in one."""
    username, password = credentials.get("username", ""), credentials.get("password", "")
    if not username and (packed := credentials.get("auth")):
        try:
            username, _, password = base64.b64decode(packed).decode().partition(":")
        except ValueError:
            username = password = ""
    return Login(
        username, password.rstrip("\0"), credentials.get("identitytoken", ""), credentials.get("registrytoken", "")
    )


async def authorization(
    session: aiohttp.ClientSession, wanted: list[Challenge], who: Login, *, repository: str, asked: URL, unverified: str
) -> dict[str, str]:
    """Return the header that answers a challenge; none if nothing can.

    Raises:
        RegistryError: the server of tokens refused, or does not answer.
    """
    if who.registry_token:
        return {"Authorization": f"Bearer {who.registry_token}"}
    for challenge in wanted:
        if challenge.scheme == "bearer" and "realm" in challenge.parameters:
            realm = _realm(challenge.parameters["realm"], asked)
            token = await _token(session, realm, challenge, who, repository=repository, unverified=unverified)
            return {"Authorization": f"Bearer {token}"}
    if any(challenge.scheme == "basic" for challenge in wanted):
        return who.basic
    return {}


def _realm(said: str, asked: URL) -> URL:
    try:
        realm = URL(said)
    except ValueError:
        realm = URL()
    if realm.scheme not in ("http", "https") or not realm.host:
        raise RegistryError(500, "the registry names no server of tokens that can be asked")
    if realm.scheme != "https" and (asked.scheme == "https" or realm.host != asked.host):
        raise RegistryError(500, f"the registry names a server of tokens without TLS ({realm.host}): not asked")
    return realm


async def _token(
    session: aiohttp.ClientSession, realm: URL, challenge: Challenge, who: Login, *, repository: str, unverified: str
) -> str:
    said = {name: challenge.parameters[name] for name in ("service",) if name in challenge.parameters}
    said["scope"] = f"repository:{repository}:pull"
    if who.identity_token:
        form = {"grant_type": "refresh_token", "refresh_token": who.identity_token, "client_id": CLIENT_ID} | said
        answer = await requests.post(session, realm, unverified=unverified, form=form)
    else:
        said |= {"account": who.username} if who.username else {}
        answer = await requests.get(session, realm.extend_query(said), unverified=unverified, headers=who.basic)
    if answer.status != _OK:
        raise refusal(answer.status, answer.body)
    try:
        document: Any = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        document = None
    token = (document.get("token") or document.get("access_token")) if isinstance(document, dict) else None
    if not isinstance(token, str) or not token or not token.isprintable():
        raise RegistryError(500, "authorization server did not include a token in the response")
    return token
