"""Lists: whole, in order, and sent in slices when they are long."""

import json

import pytest
from docker_harness import served, until
from skep.runtime.simulated import Behaviour, SimulatedExecutor
from skep.runtime.sources import SystemClock
from skep_adapters.docker_api import answers, rendered_specs
from skep_adapters.docker_api.answers import chosen

MANY = {
    "Name": "many",
    "TaskTemplate": {"ContainerSpec": {"Image": "a"}},
    "Mode": {"Replicated": {"Replicas": answers.SLICE_OBJECTS * 2 + 1}},
}


async def test_a_long_list_comes_whole_and_in_order() -> None:
    async with served(nodes=2) as api:
        await api.ask("POST", "/services/create", MANY)
        await api.cluster.converged("many")
        async with api.http.get("http://skep/tasks") as answer:
            assert answer.headers["Transfer-Encoding"] == "chunked"
            text = await answer.read()
        assert text.endswith(b"]\n")
        ids = [task["ID"] for task in json.loads(text)]
        assert len(set(ids)) == len(ids) == answers.SLICE_OBJECTS * 2 + 1
        assert ids == sorted(ids)
        (service,) = await api.get("/services?status=true")
        count = len(ids)
        assert service["ServiceStatus"] == {"RunningTasks": count, "DesiredTasks": count, "CompletedTasks": 0}


async def test_only_tasks_of_the_present_template_are_up_to_date() -> None:
    async with served() as api:
        body = {"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}}
        await api.ask("POST", "/services/create", body)
        await api.cluster.converged("web")
        version = (await api.get("/services/web"))["Version"]["Index"]
        body["TaskTemplate"] = {"ContainerSpec": {"Image": "b"}}
        assert await api.ask("POST", f"/services/web/update?version={version}", body) == (200, {"Warnings": None})
        await api.cluster.converged("web")
        assert len(await api.get("/tasks")) == 2
        (current,) = await api.get('/tasks?filters={"_up-to-date":["true"],"service":["web"]}')
        assert current["Spec"]["ContainerSpec"]["Image"] == "b"
        assert "Runtime" not in current["Spec"]
        (named,) = await api.get(f'/tasks?filters={{"name":["web.1.{current["ID"]}"]}}')
        assert named["ID"] == current["ID"]


async def test_a_node_that_was_given_a_spec_is_no_longer_listed_as_accepted() -> None:
    async with served(nodes=2) as api:
        node, other = await api.get("/nodes")
        body = node["Spec"] | {"Labels": {"zone": "a"}}
        path = f"/nodes/{node['ID']}/update?version={node['Version']['Index']}"
        assert (await api.ask("POST", path, body))[0] == 200
        assert [one["ID"] for one in await api.get('/nodes?filters={"membership":["pending"]}')] == [node["ID"]]
        assert [one["ID"] for one in await api.get('/nodes?filters={"membership":["accepted"]}')] == [other["ID"]]


async def test_tasks_of_a_service_that_was_removed_are_found_by_its_labels_until_they_have_stopped() -> None:
    """`docker stack rm --detach=false` waits for them so (recorded in scenario 32)."""

    def executor(_name: str, _number: int) -> SimulatedExecutor:
        return SimulatedExecutor(Behaviour(stop_s=0.5), clock=SystemClock())

    async with served(executor=executor) as api:
        body = {"Name": "web", "Labels": {"a": "b"}, "TaskTemplate": {"ContainerSpec": {"Image": "a"}}}
        await api.ask("POST", "/services/create", body)
        await api.cluster.converged("web")
        await api.ask("DELETE", "/services/web")
        (task,) = await api.get('/tasks?filters={"label":["a=b"]}')
        assert task["DesiredState"] == "remove"
        assert (await api.get(f"/tasks/{task['ID']}"))["ID"] == task["ID"]
        assert await api.get('/tasks?filters={"label":["a=c"]}') == []

        async def gone() -> bool:
            return await api.get("/tasks") == []

        await until(gone)


async def test_order_does_not_depend_on_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"{n * 7919 % 1000:04}" for n in range(1000)]
    expected = sorted(word for word in words if word[-1] != "0")
    assert await chosen(words, lambda word: word[-1] != "0", str) == expected
    monkeypatch.setattr(answers, "SLICE_LOOKS", 10)
    assert await chosen(words, lambda word: word[-1] != "0", str) == expected


async def test_a_list_shows_a_service_as_it_is_now_however_often_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered_specs, "KEPT_MAX", 2)
    async with served() as api:
        for name in ("a", "b", "c"):
            await api.ask("POST", "/services/create", {"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "x"}}})
        for turn in range(3):
            listed = await api.get("/services")
            assert listed == [await api.get(f"/services/{one['ID']}") for one in listed]
            assert listed == await api.get("/services")
            one = listed[turn]
            one["Spec"]["Labels"]["turn"] = str(turn)
            path = f"/services/{one['ID']}/update?version={one['Version']['Index']}"
            assert (await api.ask("POST", path, one["Spec"]))[0] == 200
            (shown,) = [each for each in await api.get("/services") if each["ID"] == one["ID"]]
            assert shown["Spec"]["Labels"] == {"turn": str(turn)}
            assert shown["PreviousSpec"]["Labels"] == {}
