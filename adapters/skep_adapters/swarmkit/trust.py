"""TLS: the manager's own certificate, and which roots it trusts, both as they are at the moment.

A joiner has no certificate yet, so none is demanded; whoever shows one must have it of a trusted root. A listening
socket keeps its context for good, and a root cannot be taken out of one: so each connection is given the present one.
"""

import os
import ssl
from collections.abc import Callable

import anyio
import structlog
from skep.model.swarm import RootCa, Rotation
from skep.ports.keyring import KeyringError
from skep.runtime.certificates import key_pem, new_key
from skep.runtime.engine import Engine
from skep.runtime.errors import EngineError
from skep.runtime.turn import Durable

#: A certificate lives for 90 days by default, and an hour at least.
RENEW_EVERY_S = 30 * 60.0

RETRY_S = 5.0

_log = structlog.get_logger("skep.swarmkit")


class Trust:
    """The manager's side of TLS. `context` is what is listened with.

    `distrust` is called when a root is trusted no more: who is connected by a certificate of it must show another one.
    """

    def __init__(self, engine: Engine, distrust: Callable[[], None]) -> None:
        self._engine = engine
        self._distrust = distrust
        self._trusted = ""
        self._present = _context()
        self.context = _context()
        self.context.sni_callback = self._choose
        self._key = new_key()
        self._changed = anyio.Event()
        self._roots: tuple[RootCa | None, Rotation | None] = (None, None)
        engine.writer.on_durable.append(self._note)

    async def begin(self) -> None:
        """Get the first certificate."""
        await self._renew()

    async def run(self) -> None:
        """Get another certificate in time, and whenever the swarm's root changes; until cancelled."""
        while True:
            with anyio.move_on_after(RENEW_EVERY_S):
                await self._changed.wait()
            self._changed = anyio.Event()
            try:
                await self._renew()
            except (EngineError, KeyringError) as error:
                _log.warning("swarmkit.certificate_not_renewed", reason=str(error), again_s=RETRY_S)
                await anyio.sleep(RETRY_S)
                self._changed.set()

    async def _renew(self) -> None:
        chain, trusted = await self._engine.membership.manager_chain(self._engine.node_id, self._key.public_key())
        context = _context()
        context.load_verify_locations(cadata=trusted)
        _load(context, chain.encode(), key_pem(self._key))
        self._present = context
        former, self._trusted = self._trusted, trusted
        if former not in trusted:
            self._distrust()

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._present

    def _note(self, _: Durable) -> None:
        cluster = self._engine.writer.state.cluster
        roots = (cluster.root, cluster.rotation) if cluster is not None else (None, None)
        if roots != self._roots:
            self._roots = roots
            self._changed.set()


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2"])
    context.num_tickets = 0  # a resumed session would not be asked for its certificate again
    context.options |= ssl.OP_NO_TICKET
    return context


def _load(context: ssl.SSLContext, chain: bytes, key: bytes) -> None:
    """Load a chain and its key, from memory: what ssl reads is a file, and the key must be in none."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(chain + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
