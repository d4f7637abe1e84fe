"""What workers are told while the log cannot be written: to come again, and never that it was an error of ours."""

import asyncio
import logging

import pytest
from grpclib import GRPCError, Status
from skep.ports.event_log import AppendUnknown
from skep_adapters.swarmkit.wire import ca_pb2, dispatcher_pb2
from skep_adapters.swarmkit.wire.ca_grpc import NodeCAStub
from skep_adapters.swarmkit.wire.dispatcher_grpc import DispatcherStub

from tests.swarmkit.test_server_callers import begun
from tests.swarmkit.worker import listening
from tests.trust.requests import csr


async def test_when_the_log_is_recovered_sessions_end_and_workers_come_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("skep.runtime.writer.RETRY_S", (0.2,))
    async with listening() as port:
        engine = port.cluster.engine
        _, worker = await port.joined()
        token, _ = await port.cluster.swarm.tokens()
        session_id = await begun(worker)
        stranger = NodeCAStub(await port.anybody())
        append = engine.store.log.append
        failures = []

        async def failing(*args: object, **more: object) -> object:
            if not failures:
                failures.append(args)
                raise AppendUnknown("the disk is gone")
            return await append(*args, **more)  # type: ignore[arg-type]  # whatever it was called with

        monkeypatch.setattr(engine.store.log, "append", failing)
        issue = ca_pb2.IssueNodeCertificateRequest(csr=csr(), token=token)
        with caplog.at_level(logging.WARNING), pytest.raises(GRPCError) as caught:
            await stranger.IssueNodeCertificate(issue, timeout=5)
        assert failures
        assert caught.value.status is Status.UNAVAILABLE
        beat = dispatcher_pb2.HeartbeatRequest(session_id=session_id)
        with pytest.raises(GRPCError) as caught:
            await DispatcherStub(worker).Heartbeat(beat, timeout=5)
        assert caught.value.status is Status.ABORTED
        assert not caplog.records
        await asyncio.sleep(0.5)
        assert await begun(worker) != session_id
        assert (await stranger.IssueNodeCertificate(issue, timeout=5)).node_id
