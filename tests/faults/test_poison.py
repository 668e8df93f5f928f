"""A call that takes its workers down takes three at most, and no other call suffers: reads and writes alike."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from uuid import uuid4

import aio_pika
import asyncpg
import pytest

from rpc_client import AsyncClient
from rpc_client.errors import InternalError
from rpc_client.wire import Names
from tests.acceptance.broker import dead_letter
from tests.conftest import FAMILIES, NAMED
from tests.faults.deadly import Deadly, Fuse
from tests.faults.deadly import family as deadly_family
from tests.processes import environment
from worker import stream, topology
from worker.desk import Desk, Filter
from worker.settings import WorkerSettings

FAMILY = "tests.faults.deadly:family"
DEADLINE_S = 50
ARMED = Fuse(armed=True)
NEIGHBOURS = [f"k-{n}" for n in range(63)]
NOTED = "select key, count(*) as times from deadly.noted group by key"


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return settings.model_copy(update={"families": [*NAMED, FAMILY]})


@pytest.fixture
async def patient(client: AsyncClient) -> AsyncClient:
    return client.with_options(timeout_s=DEADLINE_S)


@pytest.fixture
async def declared(settings: WorkerSettings) -> AsyncIterator[None]:
    """The queues are there before any worker is."""
    connection = await aio_pika.connect(settings.amqp_urls[0])
    async with connection:
        await topology.declare(connection, settings)
    yield
    await topology.delete(settings)
    await stream.delete(settings)


@contextlib.asynccontextmanager
async def undying(settings: WorkerSettings, folder: Path, **extra: str) -> AsyncIterator[list[int]]:
    """A worker that is started again whenever it was killed; yields how each one ended so far."""
    ends: list[int] = []
    deadly = {**environment(settings), "DEADLY": "1", **extra}

    async def live() -> None:
        while True:
            with (folder / f"undying-{uuid4().hex}.log").open("w") as log:
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "worker", stderr=log, env=deadly, cwd=folder
                )
                try:
                    ends.append(await process.wait())
                finally:
                    if process.returncode is None:
                        process.terminate()
                        await process.wait()

    living = asyncio.create_task(live())
    try:
        yield ends
    finally:
        living.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await living


async def queued(settings: WorkerSettings, lane: str, messages: int) -> None:
    """Wait until so many messages lie in a queue: the first worker then takes them all at once."""
    connection = await aio_pika.connect(settings.amqp_urls[0])
    async with connection, asyncio.timeout(20):
        channel, name = await connection.channel(), Names(settings.prefix).queue(lane)
        while (await channel.declare_queue(name, passive=True)).declaration_result.message_count < messages:
            await asyncio.sleep(0.02)


async def told(calls: Sequence[Awaitable[object]]) -> list[object]:
    return await asyncio.gather(*calls, return_exceptions=True)


def is_poison(error: object) -> bool:
    return isinstance(error, InternalError) and error.details == {"reason": "poison"}


async def noted(sql: asyncpg.Connection) -> dict[str, int]:
    return {row["key"]: row["times"] for row in await sql.fetch(NOTED)}


@pytest.mark.timeout(180)  # four workers start, one after the other
async def test_a_read_that_kills_its_workers_kills_three_and_every_other_read_is_answered(
    settings, patient, declared, tmp_path
):
    look = [patient.call(Deadly.look, ("killer", True), {})]
    look += [patient.call(Deadly.look, (key,), {}) for key in NEIGHBOURS]
    others = [patient.call_by_name("deadly.look", "read", {"key": f"other-{n}"}) for n in range(20)]
    asking = asyncio.create_task(told([*look, *others]))
    await queued(settings, "read", 21)

    async with undying(settings, tmp_path) as ends:
        killer, *answers = await asking
        alive = await patient.call(Deadly.look, ("alive",), {})

    assert ends == [-signal.SIGKILL] * 3
    assert is_poison(killer)
    assert "3 workers were lost" in str(killer)
    assert answers == [0] * 83
    assert alive == 0


@pytest.mark.timeout(180)  # four workers start, one after the other
async def test_a_write_in_a_group_that_kills_its_workers_kills_three_and_every_other_write_happens_once(
    settings, patient, declared, tmp_path, sql
):
    writes = [patient.call(Deadly.note, (key, Fuse()), {}) for key in NEIGHBOURS]
    writes.insert(32, patient.call(Deadly.note, ("killer", ARMED), {}))
    others = [patient.call(Deadly.tell, (f"other-{n}",), {}) for n in range(64)]
    lone = [patient.call_by_name("deadly.note", "write", {"key": f"lone-{n}", "fuse": {}}) for n in range(20)]
    asking = asyncio.create_task(told([*writes, *others, *lone]))
    await queued(settings, "write", 22)

    async with undying(settings, tmp_path) as ends:
        answers = await asking
        letter = await dead_letter(sql)  # the last worker moves it

    killer = answers.pop(32)
    assert ends == [-signal.SIGKILL] * 3
    assert is_poison(killer)
    assert (letter["reason"], str(letter["id"]), letter["attempts"]) == ("poison", killer.request_id, 3)
    assert answers == [1] * 147
    assert set((await noted(sql)).values()) == {1}
    assert len(await noted(sql)) == 147


@pytest.mark.heavy
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("method", "arguments"), [(Deadly.note_alone, ("killer", ARMED)), (Deadly.tell, ("killer", True))]
)
async def test_so_does_a_write_of_one_statement_and_a_story(
    settings, patient, declared, tmp_path, sql, method, arguments
):
    harmless = Fuse() if method is Deadly.note_alone else False
    writes = [patient.call(method, (key, harmless), {}) for key in NEIGHBOURS]
    writes.insert(32, patient.call(method, arguments, {}))
    asking = asyncio.create_task(told(writes))
    await queued(settings, "write", 1)

    async with undying(settings, tmp_path) as ends:
        answers = await asking
        letter = await dead_letter(sql)  # the last worker moves it

    killer = answers.pop(32)
    assert ends == [-signal.SIGKILL] * 3
    assert is_poison(killer)
    assert letter["reason"] == "poison"
    assert answers == [1] * 63
    assert await noted(sql) == dict.fromkeys(NEIGHBOURS, 1)


@pytest.mark.heavy
@pytest.mark.timeout(300)
async def test_a_replay_of_a_poison_message_begins_afresh_and_runs_once_it_is_mended(
    settings, patient, declared, tmp_path, sql
):
    asking = asyncio.create_task(told([patient.call(Deadly.tell, ("killer", True), {})]))
    await queued(settings, "write", 1)
    families = [*FAMILIES, deadly_family]

    async with undying(settings, tmp_path) as ends, Desk(settings, families=families, actor="tests") as desk:
        (killer,) = await asking
        async with asyncio.timeout(30):
            while not (letters := await desk.list(Filter(reason="poison"))):
                await asyncio.sleep(0.05)
        again = await desk.replay(Filter(reason="poison"), timeout_s=DEADLINE_S)
        deaths = len(ends)
    async with undying(settings, tmp_path, DEADLY=""), Desk(settings, families=families, actor="tests") as desk:
        mended = await desk.replay(Filter(numbers=[letters[0].number]), timeout_s=DEADLINE_S)

    assert is_poison(killer)
    assert deaths == 6
    assert (again.outcomes, mended.outcomes) == ({"InternalError": 1}, {"done": 1})
    assert await noted(sql) == {"killer": 1}
