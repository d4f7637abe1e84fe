"""Certificates of real engines: they are renewed, and follow the swarm's root, while everything goes on."""

import sys

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from tests.acceptance.daemon import eventually
from tests.engines.engine import Engine
from tests.engines.swarm import Begin, Swarm, everywhere

pytestmark = pytest.mark.timeout(300)

FOLDER = "/srv/docker/swarm/certificates"


def certificate(engine: Engine) -> x509.Certificate:
    """Return the certificate that an engine has now."""
    return x509.load_pem_x509_certificates(engine.machine.file(f"{FOLDER}/swarm-node.crt").read_bytes())[0]


def follows(engine: Engine, root: str) -> bool:
    """Say whether an engine trusts a root, and no other, and has its own certificate of it."""
    if engine.machine.file(f"{FOLDER}/swarm-root-ca.crt").read_text().strip() != root.strip():
        return False
    return issued_by(certificate(engine), x509.load_pem_x509_certificate(root.encode()))


def issued_by(one: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(root)
    except InvalidSignature:
        return False
    return True


def root_of(swarm: Swarm) -> str:
    return swarm.docker("swarm", "ca")


def test_the_root_is_rotated_while_services_run(swarm_of: Begin) -> None:
    swarm = swarm_of(3, local=True)
    assert swarm.local is not None
    engines = [swarm.local, *swarm.workers]
    swarm.create("web", "--replicas", "8", "app:v1")
    swarm.await_running("web", 8)
    before, root, token = everywhere(engines, "web"), root_of(swarm), swarm.token()
    assert all(follows(engine, root) for engine in engines)

    said = swarm.docker("swarm", "ca", "--rotate")
    assert "desired root digest" in said
    new = root_of(swarm)
    assert new.strip() in said
    assert new != root
    eventually(lambda: all(follows(engine, new) for engine in engines), "every node follows the new root")
    assert swarm.token() != token
    assert everywhere(engines, "web") == before
    for engine in engines:
        assert swarm.node(engine)["Description"]["TLSInfo"]["TrustRoot"].strip() == new.strip()

    # it is for good: for skep, for an engine, and for whoever joins
    swarm.skep.kill()
    swarm.skep.start()
    swarm.workers[0].kill()
    swarm.workers[0].start()
    eventually(lambda: swarm.nodes() == dict.fromkeys(swarm.nodes(), "Ready"), "all are there again")
    late = swarm.rig.engine("late")
    said = late.docker("swarm", "join", "--token", token, swarm.addr, code=1)
    assert "remote CA does not match fingerprint" in said
    swarm.join(late)
    swarm.await_state(late, "Ready")
    assert follows(late, new)


def test_a_rotation_waits_for_an_engine_that_is_away(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    here, away = swarm.workers
    root = root_of(swarm)
    away.kill()
    swarm.await_state(away, "Down")
    swarm.docker("swarm", "ca", "--rotate", "--detach")
    old = x509.load_pem_x509_certificate(root.encode())
    eventually(lambda: not issued_by(certificate(here), old), "who is here has a new certificate")
    assert root_of(swarm) == root
    assert swarm.skep.show("info")["Swarm"]["Cluster"]["RootRotationInProgress"] is True
    assert swarm.nodes()["host-1"] == "Ready"
    away.start()
    eventually(lambda: root_of(swarm) != root, "it is done when all have new certificates")
    eventually(lambda: all(follows(engine, root_of(swarm)) for engine in swarm.workers), "every node follows it")
    assert swarm.skep.show("info")["Swarm"]["Cluster"]["RootRotationInProgress"] is False


def test_a_rotation_goes_on_when_skep_was_killed_in_the_midst_of_it(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    root = root_of(swarm)
    swarm.create("web", "--replicas", "4", "app:v1")
    swarm.await_running("web", 4)
    before = everywhere(swarm.workers, "web")
    swarm.rig.lan.cut(swarm.workers[1].machine)
    swarm.docker("swarm", "ca", "--rotate", "--detach")
    swarm.skep.kill()
    swarm.skep.start()
    assert root_of(swarm) == root
    swarm.rig.lan.repair(swarm.workers[1].machine)
    eventually(lambda: root_of(swarm) != root, "it is done when all have new certificates")
    eventually(lambda: all(follows(engine, root_of(swarm)) for engine in swarm.workers), "every node follows it")
    assert everywhere(swarm.workers, "web") == before


#: An engine renews at a whole minute between half and four fifths of a certificate's life: here, always after three
#: seconds. skep's own certificate is renewed as often.
SHORT_LIVES = """
import datetime, sys
from skep.runtime import certificates, membership
from skep_adapters.swarmkit import trust
from skep_adapters.cli.main import main

certificates.BACKDATED = datetime.timedelta(seconds=57)
membership._valid_ns = lambda cluster: 117 * 10**9  # a swarm's spec may not say less than an hour
trust.RENEW_EVERY_S = 3.0
sys.exit(main(sys.argv[1:]))
"""


def serials(swarm: Swarm) -> set[int]:
    return {certificate(engine).serial_number for engine in swarm.workers}


def await_renewal(swarm: Swarm) -> None:
    known = serials(swarm)
    eventually(lambda: not known & serials(swarm), "all are renewed")


def test_certificates_are_renewed_in_time_and_nothing_is_noticed(swarm_of: Begin) -> None:
    swarm = swarm_of(0)
    swarm.skep.stop()
    swarm.skep.program = (sys.executable, "-c", SHORT_LIVES)
    swarm.skep.start()
    for engine in swarm.rig.engines(2):
        swarm.join(engine)
    swarm.create("web", "--replicas", "4", "app:v1")
    swarm.await_running("web", 4)
    before = everywhere(swarm.workers, "web")
    for _ in range(2):
        await_renewal(swarm)
    # the sessions went on, and new ones begin with the new certificates
    assert everywhere(swarm.workers, "web") == before
    swarm.workers[0].kill()
    swarm.workers[0].start()
    swarm.skep.kill()
    swarm.skep.start()
    eventually(lambda: list(swarm.nodes().values()) == ["Ready"] * 3, "all are there")
    swarm.await_running("web", 4)
