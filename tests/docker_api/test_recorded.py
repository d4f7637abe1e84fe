"""What a real swarm was sent and what it answered: decoded here, and rendered here, it is the same."""

import json
from typing import Any

import pytest
from docker_harness import attachments_of, config_of, node_of, recorded, secret_of, service_of, swarm_of, task_of
from skep.core.rules.service import stored
from skep.model.node import NodeSpec
from skep.model.service import ServiceSpec
from skep.model.swarm import SwarmSpec
from skep_adapters.docker_api.bodies import InitBody, SecretBody, UnlockBody
from skep_adapters.docker_api.decode import decode
from skep_adapters.docker_api.errors import ApiError
from skep_adapters.docker_api.render import render
from skep_adapters.docker_api.render_node import render_node
from skep_adapters.docker_api.render_secret import render_config, render_secret
from skep_adapters.docker_api.render_service import render_service, with_defaults
from skep_adapters.docker_api.render_swarm import render_swarm
from skep_adapters.docker_api.render_task import render_task, render_template

SERVICES = recorded("services")
OBJECTS = recorded("objects")
REFUSED = recorded("refused_bodies")


def spec_of(body: Any) -> ServiceSpec:
    return decode(ServiceSpec, json.dumps(body).encode())


def body_kind(path: str) -> Any:
    kinds = {"swarm/init": InitBody, "swarm/update": SwarmSpec, "unlock": UnlockBody}
    kinds |= {"services": ServiceSpec, "nodes": NodeSpec, "secrets": SecretBody}
    return next(kind for part, kind in kinds.items() if part in path)


@pytest.mark.parametrize("pair", SERVICES["stored"], ids=lambda pair: pair["stored"]["Name"])
def test_a_spec_that_was_sent_is_shown_as_recorded(pair: Any) -> None:
    assert render(stored(spec_of(pair["request"]))) == pair["stored"]


@pytest.mark.parametrize("pair", SERVICES["stored"], ids=lambda pair: pair["stored"]["Name"])
def test_a_spec_that_is_shown_can_be_sent_again(pair: Any) -> None:
    assert render(spec_of(pair["stored"])) == pair["stored"]


@pytest.mark.parametrize("pair", SERVICES["defaults"], ids=lambda pair: pair["stored"]["Name"])
def test_defaults_are_put_in_as_recorded(pair: Any) -> None:
    assert render(with_defaults(spec_of(pair["stored"]))) == pair["shown"]


@pytest.mark.parametrize("shown", SERVICES["services"], ids=lambda shown: shown["Spec"]["Name"])
def test_a_service_is_shown_as_recorded(shown: Any) -> None:
    asked_for_defaults = "RestartPolicy" in shown["Spec"]["TaskTemplate"] and "UpdateConfig" in shown["Spec"]
    assert render_service(service_of(shown), defaults=asked_for_defaults) == shown


@pytest.mark.parametrize("shown", OBJECTS["tasks"], ids=lambda shown: shown["Status"]["State"])
def test_a_task_is_shown_as_recorded(shown: Any) -> None:
    if "ServiceID" not in shown:
        pytest.skip("a task of an attached container")
    task, template = task_of(shown)
    given = attachments_of(shown)
    spec, resources = render_template(template), given.resources(task)
    assert render_task(task, spec, given.render(task), resources=resources, iteration=template.iteration) == shown


@pytest.mark.parametrize("shown", OBJECTS["nodes"], ids=lambda shown: shown["Description"]["Hostname"])
def test_a_node_is_shown_as_recorded(shown: Any) -> None:
    assert render_node(node_of(shown), None) == shown


@pytest.mark.parametrize("shown", OBJECTS["secrets"], ids=lambda shown: shown["Spec"]["Name"])
def test_a_secret_is_shown_as_recorded(shown: Any) -> None:
    assert render_secret(secret_of(shown)) == shown


@pytest.mark.parametrize("shown", OBJECTS["configs"], ids=lambda shown: shown["Spec"]["Name"])
def test_a_config_is_shown_as_recorded(shown: Any) -> None:
    assert render_config(config_of(shown)) == shown


@pytest.mark.parametrize("shown", OBJECTS["swarm"], ids=lambda shown: str(shown["Version"]["Index"]))
def test_a_swarm_is_shown_as_recorded(shown: Any) -> None:
    swarm, tokens = swarm_of(shown)
    # a rotation of the root is over at once in skep, which has no certificates of nodes to renew yet
    assert render_swarm(swarm, tokens=tokens) == shown | {"RootRotationInProgress": False}


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused["message"][:60])
def test_a_body_that_cannot_be_read_is_refused_in_gos_words(refused: Any) -> None:
    with pytest.raises(ApiError) as error:
        decode(body_kind(refused["path"]), refused["body"].encode())
    assert (error.value.status, str(error.value)) == (400, refused["message"])
