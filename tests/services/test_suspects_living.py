"""A message comes again, and yet nobody died: its worker lost the broker, or PostgreSQL, and goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from accounts import AsyncAccounts
from tests.conftest import connected
from tests.services.asking import line
from tests.services.suspects_given import a_call, again, anew, attempts, deposit, told
from worker.attempts import Attempts
from worker.calls import Call


async def test_a_worker_that_loses_its_connection_to_the_broker_is_no_loss(consumer, client, account, sql):
    running = "select exists (select from rowcall.attempts where running <> '{}')"
    async with sql.transaction():
        await sql.execute("select from accounts.accounts for update")
        depositing = asyncio.create_task(AsyncAccounts(client).deposit("a-1", 5))
        async with asyncio.timeout(20):
            while not consumer._running:
                await asyncio.sleep(0.01)
            consumer.link.drop("tests")
            while not await sql.fetchval(running):
                await asyncio.sleep(0.01)
            consumer.link.drop("tests")
            while await sql.fetchval(running):
                await asyncio.sleep(0.01)

    assert await depositing == 5
    assert set((await attempts(sql)).values()) == {1}  # nobody can tell of a first delivery


async def test_so_it_says_also_while_it_ends(consumer, client, account, sql, monkeypatch):
    said, live_on = list[bool](), consumer._pipeline.live_on

    async def noticed() -> None:
        said.append(consumer._stopping)
        await live_on()

    monkeypatch.setattr(consumer._pipeline, "live_on", noticed)
    async with sql.transaction():
        await sql.execute("select from accounts.accounts for update")
        depositing = asyncio.create_task(AsyncAccounts(client).deposit("a-1", 5))
        async with asyncio.timeout(20):
            while not consumer._running:
                await asyncio.sleep(0.01)
            draining = asyncio.create_task(consumer.drain(asyncio.Event()))
            while consumer._channel is not None:
                await asyncio.sleep(0.01)
            consumer.link.drop("tests")
            while not said:
                await asyncio.sleep(0.01)

    assert await draining
    assert said == [True]
    assert await depositing == 5


@pytest.mark.parametrize("noted_first", [True, False])
@pytest.mark.parametrize("losses", [0, 1, 2])
async def test_that_a_living_worker_lost_the_broker_counts_for_nothing(local, settings, sql, noted_first, losses):
    call, noted = a_call(local, settings, "m"), Attempts(local.database, local.served.statements)
    await noted.begin([call], timeout_s=5, decides=losses == 2)
    await sql.execute("update rowcall.attempts set count = $1", losses)
    if noted_first:
        assert list((await noted.lost([call], timeout_s=5)).values()) == [losses + 1]
    await noted.live_on([call], decides=losses == 2)

    assert list((await noted.lost([call], timeout_s=5)).values()) == [losses]
    assert await sql.fetchval("select running = '{}' and not decided from rowcall.attempts")


async def test_what_is_taken_back_leaves_the_next_worker_s_run_alone(local, settings, sql):
    call, noted = a_call(local, settings, "m"), Attempts(local.database, local.served.statements)
    await noted.begin([call], timeout_s=5)
    await noted.lost([call], timeout_s=5)
    await noted.begin([replace(call)], timeout_s=5)  # in another worker
    await noted.live_on([call], decides=False)
    running = await sql.fetchval("select cardinality(running) from rowcall.attempts")

    assert (running, list((await noted.lost([call], timeout_s=5)).values())) == (1, [1])


async def test_what_was_not_counted_is_not_taken_back(local, settings, sql):
    call, noted = a_call(local, settings, "m"), Attempts(local.database, local.served.statements)
    await noted.begin([call], timeout_s=5)
    await sql.execute("update rowcall.attempts set count = 2")  # by its copies
    await noted.lost([call], timeout_s=5)
    await noted.live_on([call], decides=False)

    assert list((await attempts(sql)).values()) == [2]


@pytest.mark.parametrize("noted_first", [True, False])
async def test_a_loss_of_the_same_message_before_is_not_taken_back(local, settings, sql, noted_first):
    call, noted = a_call(local, settings, "m"), Attempts(local.database, local.served.statements)
    await noted.lost([call], timeout_s=5)
    await noted.begin([call], timeout_s=5)
    if noted_first:
        assert list((await noted.lost([call], timeout_s=5)).values()) == [2]
    await noted.live_on([call], decides=False)

    assert list((await noted.lost([call], timeout_s=5)).values()) == [1]


WAITING = """
select count(*)
from pg_locks
where
    not granted
    and pid in (select pid from pg_locks where database = (select oid from pg_database where datname = $1))
"""


async def test_what_runs_by_itself_is_known_here_though_the_rest_of_its_message_is_done(
    pipeline, account, local, settings, sql, postgres_url
):
    await sql.execute("insert into accounts.accounts (account_id, owner) values ('a-2', 'me')")
    together, alone = uuid4(), uuid4()
    elsewhere = line(together, "accounts.deposit", {"account_id": "a-2", "amount": 5}, attempt=2)
    copy = replace(a_call(local, settings, "b"), id=str(alone))
    await Attempts(local.database, local.served.statements).begin([copy], timeout_s=5)
    async with connected(postgres_url) as stranger, stranger.transaction():
        await stranger.execute("select from accounts.accounts where account_id = 'a-1' for update")
        async with sql.transaction():
            await sql.execute("select from accounts.accounts where account_id = 'a-2' for update")
            answering = asyncio.create_task(anew(pipeline, elsewhere, deposit(alone, attempt=2), message_id="m"))
            async with asyncio.timeout(10):
                while await waiting(sql) != 2:
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # then the rest of its message has left nothing behind
        await pipeline.live_on()
        left = await runs(sql, alone)

    assert left == 1  # the copy's
    assert told(await answering) == [5, 5]


async def runs(sql: asyncpg.Connection, request_id: UUID) -> int:
    return int(await sql.fetchval("select cardinality(running) from rowcall.attempts where id = $1", request_id))


async def waiting(sql: asyncpg.Connection) -> int:
    """How many of its database wait for a lock."""
    return int(await sql.fetchval(WAITING, await sql.fetchval("select current_database()")))


async def test_before_a_call_is_condemned_a_living_worker_has_the_time_to_say_so(
    pipeline, account, local, settings, sql
):
    request_id = uuid4()
    call = replace(a_call(local, settings, "m"), id=str(request_id))
    noted = Attempts(local.database, local.served.statements)
    await noted.begin([call], timeout_s=5, decides=True)
    await sql.execute("update rowcall.attempts set count = 2")

    answering = asyncio.create_task(again(pipeline, deposit(request_id), message_id="m"))
    async with asyncio.timeout(10):
        while await attempts(sql) != {request_id: 3}:
            await asyncio.sleep(0.01)
    await noted.live_on([call], decides=True)

    assert told(await answering) == [5]
    assert await attempts(sql) == {request_id: 2}


@pytest.fixture
async def unsaid(local, settings, sql, monkeypatch) -> tuple[Attempts, Call]:
    """A call whose run has ended, and that could not be noted."""
    monkeypatch.setattr("worker.attempts.LOOKUP_S", 0.2)
    noted, call = Attempts(local.database, local.served.statements), a_call(local, settings, "m")
    await noted.begin([call], timeout_s=5)
    async with sql.transaction():
        await sql.execute("lock table rowcall.attempts in share mode")
        await noted.end([call])
    assert await running(sql) == [call.id]
    return noted, call


async def running(sql: asyncpg.Connection) -> list[str]:
    return [row["id"] for row in await sql.fetch("select id::text from rowcall.attempts where running <> '{}'")]


def another(call: Call) -> Call:
    return replace(call, id="00000000-0000-4000-8000-000000000002", message_id="other")


async def test_an_end_that_could_not_be_noted_is_before_anything_else_begins(unsaid, sql):
    noted, call = unsaid
    await noted.begin([another(call)], timeout_s=5)

    assert await running(sql) == [another(call).id]


async def test_so_it_is_though_meanwhile_the_call_could_not_begin_either(unsaid, sql):
    noted, call = unsaid
    async with sql.transaction():
        await sql.execute("lock table rowcall.attempts in share mode")
        with pytest.raises(TimeoutError):
            await noted.begin([call], timeout_s=0.2)
    await noted.begin([another(call)], timeout_s=5)

    assert await running(sql) == [another(call).id]


async def test_nobody_waits_long_to_say_an_end_and_it_is_said_before_the_next_begins(local, settings, sql, monkeypatch):
    monkeypatch.setattr("worker.attempts.LOOKUP_S", 0.2)
    noted, call = Attempts(local.database, local.served.statements), a_call(local, settings, "m")
    await noted.begin([call], timeout_s=5)
    async with noted._in_order:  # somebody else says something
        async with asyncio.timeout(10):
            await noted.end([call])
        assert await running(sql) == [call.id]
    await noted.begin([another(call)], timeout_s=5)

    assert await running(sql) == [another(call).id]


async def test_so_it_is_though_the_call_was_about_to_begin_and_is_cut_short(unsaid, sql):
    noted, call = unsaid
    await noted.begin([call], timeout_s=5)
    async with sql.transaction():
        await sql.execute("lock table rowcall.attempts in share mode")
        for each in (another(call), call):
            await noted.end([each])
        with pytest.raises(TimeoutError):
            await noted.begin([call], timeout_s=0.1)
    await noted.begin([another(call)], timeout_s=5)

    assert await running(sql) == [another(call).id]


async def test_a_call_that_begins_anew_is_not_ended_for_what_could_not_be_noted_before(unsaid, sql):
    noted, call = unsaid
    for each in (call, another(call)):
        await noted.begin([each], timeout_s=5)

    assert sorted(await running(sql)) == [call.id, another(call).id]
