"""The unmodified docker CLI walks through a swarm."""

import asyncio
import json

import pytest
from docker_harness import DOCKER, Served, served, until
from skep.runtime.simulated import Behaviour, Printed, SimulatedExecutor
from skep.runtime.sources import SystemClock

pytestmark = pytest.mark.skipif(DOCKER is None, reason="no docker CLI here")

#: An image that prints, and one that cannot start.
BEHAVIOURS = {
    "printer:latest": Behaviour(lines=(Printed("one"), Printed("two"), Printed("three", after_s=0.2))),
    "broken:latest": Behaviour(fail_start="no such command"),
}

TABLE = "{{.Name}} {{.Mode}} {{.Replicas}} {{.Image}} {{.Ports}}"


def executor(_name: str, _number: int) -> SimulatedExecutor:
    return SimulatedExecutor(BEHAVIOURS, clock=SystemClock())


async def lines_of(api: Served, *words: str) -> list[str]:
    return (await api.docker(*words)).splitlines()


async def test_a_swarm_is_begun_looked_at_changed_and_left() -> None:
    async with served(init=False) as api:
        assert await api.docker("info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"
        assert "This node is not a swarm manager" in await api.docker("node", "ls", code=1)
        assert "is now a manager" in await api.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        assert "already part of a swarm" in await api.docker("swarm", "init", code=1)
        assert await lines_of(api, "node", "ls", "--format", "{{.Hostname}} {{.Status}} {{.ManagerStatus}}") == [
            "node1 Ready Leader"
        ]
        info = json.loads(await api.docker("info", "--format", "{{json .Swarm}}"))
        assert (info["LocalNodeState"], info["ControlAvailable"], info["Nodes"]) == ("active", True, 1)
        assert "JoinTokens" not in info["Cluster"]

        before = await api.docker("swarm", "join-token", "-q", "worker")
        after = await api.docker("swarm", "join-token", "-q", "--rotate", "worker")
        assert before.startswith("SWMTKN-1-")
        assert before != after
        assert await api.docker("swarm", "join-token", "-q", "worker") == after

        assert await api.docker("swarm", "unlock-key", code=1) == "no unlock key is set"
        await api.docker("swarm", "update", "--task-history-limit", "2")
        assert (await api.get("/swarm"))["Spec"]["Orchestration"] == {"TaskHistoryRetentionLimit": 2}

        assert "Use `--force`" in await api.docker("swarm", "leave", code=1)
        await api.docker("swarm", "leave", "--force")
        assert await api.docker("info", "--format", "{{.Swarm.LocalNodeState}}") == "inactive"


async def test_the_root_is_rotated() -> None:
    async with served(init=False) as api:
        await api.docker("swarm", "init")
        before, token = await api.docker("swarm", "ca"), await api.docker("swarm", "join-token", "-q", "worker")
        await api.docker("swarm", "ca", "--rotate")
        after = await api.docker("swarm", "ca")
        assert before != after
        assert token != await api.docker("swarm", "join-token", "-q", "worker")
        (node,) = await api.get("/nodes")
        assert node["Description"]["TLSInfo"] == (await api.get("/swarm"))["TLSInfo"]
        assert node["Description"]["TLSInfo"]["TrustRoot"].strip() == after


async def test_a_ca_outside_is_kept_and_shown() -> None:
    async with served() as api:
        await api.docker("swarm", "update", "--external-ca", "protocol=cfssl,url=https://ca.example")
        (shown,) = (await api.get("/swarm"))["Spec"]["CAConfig"]["ExternalCAs"]
        assert (shown["Protocol"], shown["URL"]) == ("cfssl", "https://ca.example")
        await api.docker("swarm", "update", "--cert-expiry", "48h")


async def test_a_service_lives_from_create_to_remove() -> None:
    async with served(nodes=2) as api:
        created = await api.docker("service", "create", "--name", "web", "--replicas", "2", "-p", "8080:80", "nginx:1")
        assert created.endswith("converged")
        assert await lines_of(api, "service", "ls", "--format", TABLE) == ["web replicated 2/2 nginx:1 *:8080->80/tcp"]
        assert len(await lines_of(api, "service", "ps", "-q", "web")) == 2
        assert (await api.docker("service", "scale", "web=3")).endswith("converged")
        assert (await api.docker("service", "update", "--detach=false", "--image", "nginx:2", "web")).endswith(
            "converged"
        )
        status = "{{.UpdateStatus.State}} {{.Spec.TaskTemplate.ContainerSpec.Image}}"
        assert await api.docker("service", "inspect", "--format", status, "web") == "completed nginx:2"
        assert (await api.docker("service", "rollback", "web")).endswith("converged")
        assert await api.docker("service", "inspect", "--format", status, "web") == "rollback_completed nginx:1"
        pretty = await api.docker("service", "inspect", "--pretty", "web")
        for line in ("Service Mode:\tReplicated", " Replicas:\t3", " Monitoring Period: 5s", " PublishedPort = 8080"):
            assert line in pretty
        shown = await lines_of(api, "service", "ps", "--format", "{{.Name}} {{.Image}} {{.DesiredState}}", "web")
        assert shown.count("web.1 nginx:1 Running") == 1
        assert "web.1 nginx:2 Shutdown" in shown
        assert await api.docker("service", "rm", "web") == "web"
        assert await api.docker("service", "ls", "-q") == ""


async def test_an_image_that_cannot_be_looked_up_is_used_with_a_warning() -> None:
    async with served() as api:
        process = await asyncio.create_subprocess_exec(
            *(DOCKER or "docker", "service", "create", "-d", "--name", "web", "nginx:1"),
            env={"DOCKER_HOST": f"unix://{api.path}", "HOME": "/nowhere"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, err = await process.communicate()
        assert process.returncode == 0
        assert b"image nginx:1 could not be accessed on a registry to record" in err


async def test_lists_are_filtered() -> None:
    async with served(nodes=["left", "right"]) as api:
        await api.docker("service", "create", "-d", "--name", "web", "--label", "tier=front", "nginx")
        await api.docker("service", "create", "-d", "--name", "db", "--label", "tier=back", "--label", "x=1", "nginx")
        await api.docker("service", "create", "-d", "--name", "web2", "nginx")

        async def services(*filters: str) -> set[str]:
            words = [word for one in filters for word in ("--filter", one)]
            return set(await lines_of(api, "service", "ls", "--format", "{{.Name}}", *words))

        assert await services("name=web") == {"web", "web2"}
        assert await services("name=web", "name=db") == {"web", "web2", "db"}
        assert await services("name=eb") == set()
        assert await services("label=tier") == {"web", "db"}
        assert await services("label=tier=back", "label=x") == {"db"}
        assert await services("mode=replicated") == {"web", "db", "web2"}
        assert await services("mode=global") == set()
        assert await services("mode=bogus") == set()
        web = await api.docker("service", "inspect", "--format", "{{.ID}}", "web")
        assert await services(f"id={web[:8]}") == {"web"}
        assert "Invalid filter 'bogus'" in await api.docker("service", "ls", "--filter", "bogus=1", code=1)

        await api.docker("node", "update", "--label-add", "zone=a", "left")
        node = ("node", "ls", "--format", "{{.Hostname}}", "--filter")
        assert await lines_of(api, *node, "node.label=zone=a") == ["left"]
        assert await lines_of(api, *node, "role=worker") == ["right"]
        assert await lines_of(api, *node, "name=ri") == ["right"]
        assert await lines_of(api, *node, "membership=accepted") == ["right"]
        assert await lines_of(api, *node, "membership=pending") == ["left"]  # its first update makes it so (recorded)


async def test_a_node_is_described_drained_and_removed() -> None:
    async with served(nodes=2) as api:
        await api.docker("service", "create", "--name", "web", "--replicas", "2", "nginx")
        await api.docker("node", "update", "--availability", "drain", "node2")
        assert await api.docker("node", "inspect", "--format", "{{.Spec.Availability}}", "node2") == "drain"

        async def moved() -> bool:
            tasks = await api.get('/tasks?filters={"desired-state":["running"]}')
            self_id = api.cluster.node_id
            return len(tasks) == 2 and all((t["NodeID"], t["Status"]["State"]) == (self_id, "running") for t in tasks)

        await until(moved)
        assert "Availability:         \tDrain" in await api.docker("node", "inspect", "--pretty", "node2")
        assert len(await lines_of(api, "node", "ps", "-q", "self")) == 2
        assert "is not down and can't be removed" in await api.docker("node", "rm", "node2", code=1)
        assert "must be demoted" in await api.docker("node", "rm", "node1", code=1)
        assert "attempting to demote the last manager" in await api.docker("node", "demote", "node1", code=1)


async def test_secrets_and_configs_are_made_used_and_removed() -> None:
    async with served() as api:
        for kind in ("secret", "config"):
            await api.docker(kind, "create", "--label", "a=1", "mine", "-", stdin="hush")
            assert "already exists" in await api.docker(kind, "create", "mine", "-", stdin="x", code=1)
            assert await lines_of(api, kind, "ls", "--format", "{{.Name}}", "--filter", "label=a=1") == ["mine"]
        assert "hush" not in await api.docker("secret", "inspect", "mine")
        assert await api.docker("config", "inspect", "--format", '{{printf "%s" .Spec.Data}}', "mine") == "hush"
        await api.docker(
            *("service", "create", "--name", "web"),
            *("--secret", "mine", "--config", "source=mine,target=/etc/mine,mode=0400", "nginx"),
        )
        assert "in use by the following service: web" in await api.docker("secret", "rm", "mine", code=1)
        await api.docker("service", "update", "--detach=false", "--secret-rm", "mine", "--config-rm", "mine", "web")
        await api.docker("service", "rm", "web")
        for kind in ("secret", "config"):
            assert await api.docker(kind, "rm", "mine") == "mine"
            assert await api.docker(kind, "ls", "-q") == ""


async def test_what_tasks_print_is_shown() -> None:
    async with served(executor=executor) as api:
        await api.docker("service", "create", "--name", "talk", "printer")
        assert await lines_of(api, "service", "logs", "--raw", "talk") == ["one", "two", "three"]
        shown = await lines_of(api, "service", "logs", "talk")
        assert all(line.startswith("talk.1.") and "@node1" in line for line in shown)
        assert [line.rpartition("| ")[2] for line in shown] == ["one", "two", "three"]
        assert await lines_of(api, "service", "logs", "--raw", "--tail", "1", "talk") == ["three"]
        task_id = (await lines_of(api, "service", "ps", "-q", "--no-trunc", "talk"))[0]
        assert await lines_of(api, "service", "logs", "--raw", "--tail", "2", task_id) == ["two", "three"]
        stamped = await lines_of(api, "service", "logs", "--raw", "-t", "talk")
        assert all(line[:4].isdecimal() and line[29] == "Z" for line in stamped)
        assert "no such task or service" in await api.docker("service", "logs", "nope", code=1)


async def test_a_task_that_fails_tells_why() -> None:
    async with served(executor=executor) as api:
        await api.docker("service", "create", "-d", "--name", "bad", "--restart-condition", "none", "broken")

        async def failed() -> bool:
            return "no such command" in await api.docker("service", "ps", "--no-trunc", "bad")

        await until(failed)


async def test_events_are_told_as_they_come_and_looked_up_afterwards() -> None:
    async with served() as api:
        follower = await asyncio.create_subprocess_exec(
            *(
                DOCKER or "docker",
                "events",
                "--filter",
                "type=config",
                "--format",
                "{{.Action}} {{.Actor.Attributes.name}}",
            ),
            env={"DOCKER_HOST": f"unix://{api.path}", "HOME": "/nowhere"},
            stdout=asyncio.subprocess.PIPE,
        )
        assert follower.stdout is not None
        await asyncio.sleep(1)  # until the CLI has asked: nothing on this side says so
        await api.docker("config", "create", "one", "-", stdin="x")
        await api.docker("config", "rm", "one")
        async with asyncio.timeout(20):
            assert await follower.stdout.readline() == b"create one\n"
            assert await follower.stdout.readline() == b"remove one\n"
        follower.terminate()
        await follower.wait()
        await asyncio.sleep(1.1)  # the CLI tells instants in whole seconds
        past = await lines_of(api, "events", "--since", "1h", "--until", "0s", "--filter", "event=remove")
        assert len(past) == 1
        assert "config remove" in past[0]


async def test_what_is_not_there_yet_says_so() -> None:
    async with served() as api:
        for words in (("ps",), ("images",), ("volume", "ls"), ("run", "nginx")):
            assert "skep does not implement" in await api.docker(*words, code=125 if words[0] == "run" else 1)


async def test_inspect_finds_a_thing_of_the_swarm_without_its_type() -> None:
    async with served() as api:
        await api.docker("service", "create", "--detach", "--no-resolve-image", "--name", "web", "demo")
        await api.docker("secret", "create", "door", "-", stdin="x")
        await api.docker("config", "create", "motd", "-", stdin="x")
        for name in ("web", "node1", "door", "motd"):
            (found,) = json.loads(await api.docker("inspect", name))
            assert name in (found["Spec"].get("Name"), found.get("Description", {}).get("Hostname"))
        assert "no such object: nope" in (await api.docker("inspect", "nope", code=1)).lower()
