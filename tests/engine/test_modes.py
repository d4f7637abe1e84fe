"""Services of every mode in an embedding program."""

import pytest
import skep
from skep.core.rejected import Rejected
from skep.core.tally import Tally, tally
from skep.runtime.cluster import Cluster
from skep.runtime.simulated import Behaviour
from skep.testing.engine_test import engine_test

#: A task of the image "soon" runs a second, and one of "bad" fails then.
BEHAVIOURS = {"soon": Behaviour(run_s=1), "bad": Behaviour(run_s=1, exit_code=4), "demo": Behaviour()}


async def counted(cluster: Cluster, name: str) -> Tally:
    service = await cluster.services.get(name)
    return await cluster.read(lambda state: tally(state, service))


async def test_a_global_service_converges_with_one_task_on_each_node() -> None:
    async with engine_test(nodes=3, behaviours=BEHAVIOURS) as cluster:
        await cluster.services.create(skep.service_spec("agent", "demo", mode="global"))
        await cluster.converged("agent")
        assert len({task.node_id for task in await cluster.tasks.list("agent")}) == 3
        assert await counted(cluster, "agent") == Tally(3, 3)
        with pytest.raises(Rejected, match="service agent is not replicated"):
            await cluster.services.scale("agent", 2)


@pytest.mark.parametrize(("mode", "completed"), [("replicated-job", 5), ("global-job", 3)])
async def test_a_job_converges_when_all_of_it_is_complete(mode: str, completed: int) -> None:
    async with engine_test(nodes=3, behaviours=BEHAVIOURS) as cluster:
        spec = skep.service_spec("job", "soon", mode=mode, replicas=5, max_concurrent=2)
        await cluster.services.create(spec)
        await cluster.converged("job")
        assert (await counted(cluster, "job")).completed == completed


async def test_scaling_a_job_runs_it_again_so_many_times() -> None:
    async with engine_test(behaviours=BEHAVIOURS) as cluster:
        spec = skep.service_spec("job", "soon", mode="replicated-job", replicas=5, max_concurrent=2)
        await cluster.services.create(spec)
        await cluster.converged("job")
        await cluster.services.scale("job", 3)
        await cluster.converged("job")
        assert await counted(cluster, "job") == Tally(0, 2, 3)
        service = await cluster.services.get("job")
        assert service.job is not None
        assert service.job.iteration == 1


async def test_a_job_that_fails_does_not_converge_and_says_so() -> None:
    async with engine_test(behaviours=BEHAVIOURS) as cluster:
        await cluster.services.create(skep.service_spec("job", "bad", mode="replicated-job", replicas=2))
        with pytest.raises(skep.TimedOut, match="job completed 0 of 2 tasks"):
            await cluster.converged("job", timeout_s=30)
