"""Services of every kind run on real engines, and change as their users say."""

from tests.acceptance.daemon import eventually
from tests.engines import images
from tests.engines.swarm import SHORT, Begin, Swarm, containers, everywhere, inside

REGISTRY = ("--constraint", "node.labels.registry==yes", "--mount", "type=bind,src=/srv/registry,dst=/var/lib/registry")


def versions(swarm: Swarm, name: str) -> set[str]:
    """Return what the containers of a service have for a version, on all engines."""
    found = [(engine, each) for engine in swarm.workers for each in containers(engine, name)]
    shown = [engine.client("exec", each, "cat", "/www/version") for engine, each in found]
    return {done.stdout.decode().strip() for done in shown if done.returncode == 0}  # else it has just ended


def test_a_registry_runs_as_a_service_and_services_run_what_was_pushed_to_it(swarm_of: Begin) -> None:
    swarm = swarm_of(2, local=True)  # the manager's engine looks for digests: it is told that this needs no TLS
    first, second = swarm.workers
    swarm.docker("node", "update", "--label-add", "registry=yes", first.machine.name)
    first.machine.run("mkdir", "/srv/registry")
    images.load_registry(first)
    swarm.create("registry", *REGISTRY, "--publish", "mode=host,target=5000,published=5000", "registry:2")
    assert swarm.await_running("registry", 1)[0]["Node"] == first.machine.name
    name = f"{first.address}:5000/shop:v1"
    first.docker("tag", "app:v1", name)
    eventually(lambda: first.client("push", name).returncode == 0, "it is pushed")
    assert first.machine.run("ls", "/srv/registry/docker/registry/v2/repositories") == "shop\n"
    first.docker("image", "rm", name)

    said = swarm.docker("service", "create", "--name", "shop", "--replicas", "3", *SHORT, name)
    assert "could not be accessed" not in said
    assert "verify: Service" in said
    swarm.await_running("shop", 3)
    image = swarm.show("service", "shop")["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    assert image.startswith(f"{name}@sha256:")
    assert {row["Node"] for row in swarm.running("shop")} == {"manager", "host-1", "host-2"}
    assert name.removesuffix(":v1") in {row["Repository"] for row in second.rows("image", "ls")}
    assert versions(swarm, "shop") == {"app v1"}

    # what it keeps outlives its task
    swarm.docker("service", "update", "--force", "--detach", "registry")
    eventually(lambda: len(swarm.tasks("registry")) == 2, "it is replaced")
    swarm.await_running("registry", 1)
    assert "shop" in second.machine.run("busybox", "wget", "-qO-", f"http://{first.address}:5000/v2/_catalog")


def test_a_service_is_updated_in_turn_and_rolled_back(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    swarm.create("web", "--replicas", "4", "--update-delay", "1s", "--update-monitor", "200ms", "app:v1")
    swarm.await_running("web", 4)
    before = everywhere(swarm.workers, "web")
    assert versions(swarm, "web") == {"app v1"}
    swarm.update("web", "--image", "app:v2")
    eventually(lambda: versions(swarm, "web") == {"app v1", "app v2"}, "some are new, and some are old")
    assert len(swarm.running("web")) >= 3
    eventually(lambda: swarm.show("service", "web")["UpdateStatus"]["State"] == "completed", "it is done")
    swarm.await_running("web", 4)
    assert versions(swarm, "web") == {"app v2"}
    assert not before.keys() & everywhere(swarm.workers, "web").keys()
    assert swarm.workers[0].docker("ps", "--all", "--quiet", "--filter", "status=exited")  # what was replaced is kept

    said = swarm.docker("service", "rollback", "web")
    assert "Service web converged" in said
    assert versions(swarm, "web") == {"app v1"}
    assert swarm.show("service", "web")["UpdateStatus"]["State"] == "rollback_completed"


def test_an_update_that_fails_is_rolled_back(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    swarm.create("web", "--replicas", "2", "--update-failure-action", "rollback", "--update-monitor", "2s", "app:v1")
    swarm.await_running("web", 2)
    swarm.update("web", "--image", "fails:v1")
    eventually(lambda: "rollback_completed" in str(swarm.show("service", "web")["UpdateStatus"]), "it is rolled back")
    swarm.await_running("web", 2)
    assert versions(swarm, "web") == {"app v1"}
    assert "task: non-zero exit (3)" in {row["Error"].strip('"') for row in swarm.tasks("web")}


def test_an_image_that_nobody_has_is_rejected(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    swarm.create("web", "nobody-has:this")
    eventually(lambda: any("Rejected" in row["CurrentState"] for row in swarm.tasks("web")), "it is rejected")
    assert any("No such image: nobody-has:this" in row["Error"] for row in swarm.tasks("web"))


def test_a_service_is_scaled_to_ten_and_back_and_removed(swarm_of: Begin) -> None:
    swarm = swarm_of(3)
    swarm.create("web", "app:v1")
    swarm.await_running("web", 1)
    assert "web scaled to 10" in swarm.docker("service", "scale", "web=10")
    assert sorted(len(containers(engine, "web")) for engine in swarm.workers) == [3, 3, 4]
    assert sorted(row["Name"] for row in swarm.running("web")) == sorted(f"web.{slot}" for slot in range(1, 11))
    swarm.docker("service", "scale", "web=2")
    eventually(lambda: len(everywhere(swarm.workers, "web")) == 2, "two are left")
    swarm.docker("service", "rm", "web")
    eventually(lambda: not any(one.docker("ps", "--all", "--quiet") for one in swarm.workers), "nothing is left of it")


def test_a_global_service_runs_on_every_node_and_on_those_that_join(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    swarm.create("web", "--mode", "global", "app:v1")
    swarm.await_running("web", 2)
    assert [len(containers(engine, "web")) for engine in swarm.workers] == [1, 1]
    swarm.join(swarm.rig.engine("host-3"))
    swarm.await_running("web", 3)
    assert [len(containers(engine, "web")) for engine in swarm.workers] == [1, 1, 1]


def test_jobs_run_to_their_end(swarm_of: Begin) -> None:
    swarm = swarm_of(2)
    some = ("--replicas", "5", "--max-concurrent", "2")
    said = swarm.docker(
        "service", "create", "--no-resolve-image", "--mode", "replicated-job", *some, "--name", "some", "app:v1", "true"
    )
    assert "job complete" in said
    assert len([row for row in swarm.tasks("some") if row["CurrentState"].startswith("Complete")]) == 5
    each = ("--mode", "global-job", "--name", "each", "--restart-condition", "none")
    swarm.docker("service", "create", "--no-resolve-image", "--detach", *each, "app:v1", "echo", "done here")
    eventually(
        lambda: [row["CurrentState"].split()[0] for row in swarm.tasks("each")] == ["Complete"] * 2, "both are complete"
    )
    assert {row["Node"] for row in swarm.tasks("each")} == {"host-1", "host-2"}
    rows = {row["Name"]: row["Replicas"] for row in swarm.skep.rows("service", "ls")}
    assert rows == {"some": "0/2 (5/5 completed)", "each": "0/0 (2/2 completed)"}
    assert swarm.docker("service", "logs", "--raw", "each") == "done here\n" * 2


def test_a_job_that_fails_is_begun_again(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    words = ("--mode", "replicated-job", "--restart-delay", "100ms", "--name", "job", "fails:v1")
    swarm.docker("service", "create", "--no-resolve-image", "--detach", *words)
    eventually(lambda: len(swarm.tasks("job")) >= 3, "it is begun again")
    assert "task: non-zero exit (3)" in {row["Error"].strip('"') for row in swarm.tasks("job")}


def test_templates_and_limits_reach_the_container(swarm_of: Begin) -> None:
    swarm = swarm_of(1)
    engine = swarm.workers[0]
    words = ("--env", "WHERE={{.Node.Hostname}} {{.Service.Name}}.{{.Task.Slot}}", "--hostname", "{{.Task.Slot}}-web")
    limits = ("--limit-memory", "64m", "--limit-cpu", "0.5", "--init", "--label", "a=b", "--container-label", "c=d")
    swarm.create("web", *words, *limits, "--mount", "type=tmpfs,dst=/scratch", "app:v1")
    swarm.await_running("web", 1)
    assert inside(engine, "web", "sh", "-c", "echo $WHERE; hostname") == "host-1 web.1\n1-web\n"
    found = engine.show("inspect", next(iter(containers(engine, "web"))))
    assert found["HostConfig"]["Memory"] == 64 * 1024**2
    assert found["HostConfig"]["NanoCpus"] == 500_000_000
    assert found["HostConfig"]["Init"] is True
    assert found["Config"]["Labels"]["c"] == "d"
    assert "tmpfs /scratch" in inside(engine, "web", "cat", "/proc/mounts")
