"""What is secret is nowhere in plain but in the hands of the tasks that it is for, and gone when it is removed."""

import asyncio
import base64
import hashlib
import json
import random
import secrets
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec.structs import replace
from skep import Cluster
from skep.model.swarm import EncryptionConfig
from skep_adapters.sqlite.storage import SqliteStorage

from tests.acceptance.daemon import Daemon, UnixConnection, eventually, service

pytestmark = pytest.mark.timeout(600)

SEED = 2
KILLS = 5

NONCE_BYTES = 12

#: What a task tells of a secret without telling the secret.
LOOKING = (
    'cd "$SKEP_SECRETS_DIR"; pwd; stat --format %a door; stat --file-system --format %T door; '
    "sha256sum < door; exec sleep 1000"
)


class Sealed(NamedTuple):
    """What the log holds of a secret."""

    key_id: str
    ciphertext: bytes

    def opened(self, key: bytes) -> bytes:
        nonce, rest = self.ciphertext[:NONCE_BYTES], self.ciphertext[NONCE_BYTES:]
        return AESGCM(key).decrypt(nonce, rest, self.key_id.encode())


@pytest.fixture
def swarm(daemon: Daemon) -> Daemon:
    daemon.start()
    assert daemon.ask("POST", "/swarm/init", {"ListenAddr": "0.0.0.0:2377"}).status == 200
    return daemon


def spellings(content: bytes) -> Iterator[bytes]:
    """Yield the ways in which bytes may be written: as they are, in hex, in base64 at any offset."""
    yield content
    yield content.hex().encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content)
        yield encoded[4 * bool(before) : len(encoded) - 4]


def check_nowhere(daemon: Daemon, *contents: bytes) -> None:
    """See that contents are in no file of the data directory, in no line of the daemon's log, on no command line."""
    places = [path for path in daemon.data.rglob("*") if path.is_file()]
    places += [daemon.errors, *Path("/proc").glob("[0-9]*/cmdline")]
    forms = [form for content in contents for form in spellings(content)]
    assert all(len(form) >= 16 for form in forms)
    for path in places:
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            held = path.read_bytes()
            assert not any(form in held for form in forms), path


def keys(daemon: Daemon) -> dict[str, bytes]:
    """Return all keys but those of the data plane, which are made while a swarm begins."""
    with closing(sqlite3.connect(f"file:{daemon.log().with_name('keyring.db')}?mode=ro", uri=True)) as keyring:
        return dict(keyring.execute("SELECT key_id, key FROM keys WHERE key_id NOT LIKE 'network-key-%'"))


def sealed(daemon: Daemon, event: str) -> Sealed:
    """Return what the log's one event of that kind holds sealed."""
    with closing(sqlite3.connect(f"file:{daemon.log()}?mode=ro", uri=True)) as log:
        bodies = [json.loads(body) for (body,) in log.execute("SELECT body FROM log")]
    (found,) = [each for body in bodies for each in body["events"] if each["type"].startswith(event)]
    said = found["sealed"]
    return Sealed(said["key_id"], base64.b64decode(said["ciphertext"]))


def told(daemon: Daemon, *, before: str = "") -> list[str]:
    """Return what a looking task said, but not the one before: its directory, mode, kind of file system, and digest."""
    for task in daemon.get('/tasks?filters={"desired-state":["running"],"service":["looker"]}'):
        lines = daemon.lines(f"/tasks/{task['ID']}")
        if len(lines) == 4 and lines[0] != before:
            return lines
    return []


def looker(secret_id: str) -> dict[str, Any]:
    spec = service("looker", "sh", "-c", LOOKING)
    file = {"Name": "door", "UID": "0", "GID": "0", "Mode": 0o400}
    spec["TaskTemplate"]["ContainerSpec"]["Secrets"] = [{"SecretID": secret_id, "SecretName": "door", "File": file}]
    spec["TaskTemplate"]["RestartPolicy"] = {"Delay": 100_000_000}
    return spec


def test_a_secret_is_in_plain_for_its_task_only_and_gone_with_its_key(swarm: Daemon) -> None:
    marker = secrets.token_bytes(32)
    secret_id = swarm.create("secrets", {"Name": "door", "Data": base64.b64encode(marker).decode()})
    service_id = swarm.create("services", looker(secret_id))
    folder, mode, kind, digest = eventually(lambda: told(swarm), "the task looks at it")
    assert (mode, kind, digest.split()[0]) == ("400", "tmpfs", hashlib.sha256(marker).hexdigest())
    assert not Path(folder).is_relative_to(swarm.data)
    assert Path(folder, "door").read_bytes() == marker  # this is what to look for
    check_nowhere(swarm, marker)

    swarm.kill()
    check_nowhere(swarm, marker)
    swarm.start()
    old = folder
    folder, _, _, digest = eventually(lambda: told(swarm, before=old), "a new task looks at it")
    assert digest.split()[0] == hashlib.sha256(marker).hexdigest()
    assert not Path(old).exists()

    swarm.stop()  # which makes a checkpoint
    assert list(swarm.log().with_name("checkpoints").iterdir())
    assert not Path(folder).exists()
    check_nowhere(swarm, marker)
    swarm.start()
    folder, *_ = eventually(lambda: told(swarm, before=folder), "a new task looks at it")

    held = sealed(swarm, "secret.created")
    key = keys(swarm)[held.key_id]
    assert held.opened(key) == marker
    refused = swarm.ask("DELETE", f"/secrets/{secret_id}")
    assert (refused.status, "in use" in refused.message) == (400, True)
    assert swarm.ask("DELETE", f"/services/{service_id}").status == 200
    assert swarm.ask("DELETE", f"/secrets/{secret_id}").status == 204
    eventually(lambda: not Path(folder).exists(), "the task's copy is gone")
    assert sealed(swarm, "secret.created") == held  # history stays, and nobody can read it
    assert held.key_id not in keys(swarm)
    check_nowhere(swarm, marker, key)
    swarm.stop()
    check_nowhere(swarm, marker, key)


def test_a_secret_that_was_removed_just_before_a_kill_cannot_be_opened_in_the_next_life(swarm: Daemon) -> None:
    marker = secrets.token_bytes(32)
    secret_id = swarm.create("secrets", {"Name": "door", "Data": base64.b64encode(marker).decode()})
    held = sealed(swarm, "secret.created")
    key = keys(swarm)[held.key_id]
    assert swarm.ask("DELETE", f"/secrets/{secret_id}").status == 204
    swarm.kill()
    swarm.start()
    assert held.key_id not in keys(swarm)
    check_nowhere(swarm, marker, key)


def test_a_kill_during_the_removal_leaves_a_secret_with_its_key_or_neither(swarm: Daemon) -> None:
    moments = random.Random(SEED)  # noqa: S311 - a seed gives the same moments again
    for number in range(KILLS):
        marker = secrets.token_bytes(32)
        spec = {"Name": f"door-{number}", "Data": base64.b64encode(marker).decode()}
        before = keys(swarm)
        secret_id = swarm.create("secrets", spec)
        ((key_id, key),) = keys(swarm).items() - before.items()
        with closing(UnixConnection(swarm.socket)) as connection:
            connection.request("DELETE", f"/secrets/{secret_id}")
            threading.Event().wait(moments.uniform(0, 0.01))
            swarm.kill()
        swarm.start()
        if swarm.ask("GET", f"/secrets/{secret_id}").status == 200:
            assert keys(swarm)[key_id] == key
            assert swarm.ask("DELETE", f"/secrets/{secret_id}").status == 204
        assert key_id not in keys(swarm)
        check_nowhere(swarm, marker, key)


def test_tokens_of_the_swarm_are_nowhere_before_and_after_they_are_new(swarm: Daemon) -> None:
    def shown() -> set[bytes]:
        """Return the secret parts of the tokens that the swarm tells its operator."""
        return {secret_part(token) for token in swarm.get("/swarm")["JoinTokens"].values()}

    first = shown()
    assert len(first) == 2
    check_nowhere(swarm, *first)
    old_keys = keys(swarm)
    found = swarm.get("/swarm")
    path = f"/swarm/update?version={found['Version']['Index']}&rotateWorkerToken=true&rotateManagerToken=true"
    assert swarm.ask("POST", path, found["Spec"]).status == 200
    rotated = shown()
    assert len(rotated) == 2
    assert not rotated & first
    check_nowhere(swarm, *first, *rotated)
    lost = [old_keys[name] for name in old_keys.keys() - keys(swarm).keys()]
    assert len(lost) == 2
    check_nowhere(swarm, *lost)

    swarm.stop()
    check_nowhere(swarm, *first, *rotated, *lost)
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in swarm.data.rglob("*") if path.is_file())
    swarm.start()
    assert shown() == rotated


def test_an_unlock_key_is_nowhere_before_and_after_it_is_new(swarm: Daemon) -> None:
    """A daemon that is started again is locked by the newer one."""
    swarm.stop()

    async def rotate() -> tuple[bytes, bytes]:
        async with Cluster.open(storage=SqliteStorage(swarm.data), nodes=[socket.gethostname()]) as cluster:

            async def update(*, rotate: bool) -> bytes:
                found = await cluster.swarm.inspect()
                spec = replace(found.spec, encryption_config=EncryptionConfig(auto_lock_managers=True))
                await cluster.swarm.update(found.version, spec, rotate_unlock_key=rotate)
                shown = secret_part(await cluster.swarm.unlock_key())
                check_nowhere(swarm, shown)
                return shown

            return await update(rotate=False), await update(rotate=True)

    before = keys(swarm)
    first, second = asyncio.run(rotate())
    assert first != second
    check_nowhere(swarm, first, second)
    assert len(keys(swarm).keys() - before.keys()) == 1
    swarm.start()
    assert swarm.ask("GET", "/swarm").status == 503
    for key, status in ((first, 401), (second, 200)):
        assert swarm.ask("POST", "/swarm/unlock", {"UnlockKey": f"SWMKEY-1-{key.decode()}"}).status == status
    assert secret_part(swarm.get("/swarm/unlockkey")["UnlockKey"]) == second
    check_nowhere(swarm, first, second)


def secret_part(token: str) -> bytes:
    return token.rpartition("-")[2].encode()
