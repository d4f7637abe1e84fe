"""A writer killed in the middle: what it acknowledged is there, and the log goes on."""

import contextlib
import random
import signal
import subprocess
from pathlib import Path

from log_places import NAME, child, claimed, filled
from skep_adapters.sqlite import SqliteEventLog

#: Appends groups for ever, and says after each where the log ends.
WRITER = """
import asyncio, random, sys
from pathlib import Path
from skep_adapters.sqlite import SqliteEventLog

async def main():
    log = SqliteEventLog(Path(sys.argv[1]))
    claim = await log.claim()
    position, draw = claim.head.position, random.Random(int(sys.argv[2]))
    print("claimed", position, flush=True)
    while True:
        count = draw.choice([1, 1, 1, 5, 50, 700])
        records = [b'{"n":%d,"of":%d}' % (position + 1 + n, count) for n in range(count)]
        position = (await log.append(records, expected=position, epoch=claim.epoch)).position
        print(position, flush=True)

asyncio.run(main())
"""

ROUNDS = 3


async def test_everything_acknowledged_survives_kill_minus_nine(tmp_path: Path) -> None:
    path = tmp_path / NAME
    draw = random.Random(20)  # noqa: S311 - when to kill, not a secret
    acknowledged = 0
    for seed in range(ROUNDS):
        with child(WRITER, path, str(seed)) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == f"claimed {acknowledged}\n"
            for _ in range(draw.randrange(20, 120)):
                writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
            said = writer.stdout.read().split()
            assert writer.wait() == -signal.SIGKILL
        log = SqliteEventLog(path)
        try:
            claim = await log.claim()
            assert claim.head.position >= int(said[-1] if said else acknowledged)
            assert await log.verify() == claim.head
            acknowledged = claim.head.position
        finally:
            await log.aclose()
    assert acknowledged > ROUNDS


async def test_a_group_is_whole_or_not_there_after_a_kill(tmp_path: Path) -> None:
    size = 11_000  # more than one statement, so that the transaction is open for a while
    script = WRITER.replace("draw.choice([1, 1, 1, 5, 50, 700])", str(size))
    draw = random.Random(21)  # noqa: S311 - when to kill, not a secret
    for seed in range(2):
        with child(script, tmp_path / NAME, str(seed)) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            writer.stdout.readline()
            with contextlib.suppress(subprocess.TimeoutExpired):
                writer.wait(draw.random() / 5)
            writer.kill()
        async with claimed(tmp_path) as (log, claim):
            assert claim.head.position % size == 0
            assert claim.head.position > 0
            assert await log.verify() == claim.head


async def test_a_reader_in_another_process_sees_only_whole_groups_in_order(tmp_path: Path) -> None:
    reader = """
import asyncio, sys
from pathlib import Path
from skep_adapters.sqlite import SqliteEventLog

async def main():
    log = SqliteEventLog(Path(sys.argv[1]), read_only=True)
    print("reading", flush=True)
    async for record in log.follow(0):
        print(record.position, flush=True)
        if record.position == 60:
            break
    print((await log.verify()).position)
    await log.aclose()

asyncio.run(main())
"""
    async with claimed(tmp_path) as (log, claim):
        await filled(log, claim, [1])
        with child(reader, tmp_path / NAME) as other:
            assert other.stdout is not None
            other.stdout.readline()
            other.stdout.readline()
            await filled(log, type(claim)(claim.epoch, await log.head()), [19, 1, 39])
            positions = [int(line) for line in other.stdout.read().split()]
            assert positions == [*range(2, 61), 60]
            assert other.wait() == 0, other.stderr and other.stderr.read()
