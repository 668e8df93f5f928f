"""The relay copies exactly what committed to the record, once and in order, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from rpc_client.events import Event
from rpc_client.record import Place
from rpc_client.tasks import end
from rpc_client.wire import Names
from tests.conftest import connected
from tests.proxy import proxied
from tests.record import (
    assert_exact,
    client_of,
    committed,
    complete,
    draw,
    end_of,
    own_redis,
    recorded,
    relaying,
    storm,
)
from tests.services.conftest import NewCopying
from worker.copying import Copying, MovedOnError
from worker.pipeline import Pipeline
from worker.served import Served
from worker.settings import WorkerSettings
from worker.statements import Statement

SMALL = 3_000
LARGE = 60_000
SIZES = [SMALL, pytest.param(LARGE, marks=[pytest.mark.heavy, pytest.mark.timeout(600)])]
FRESH_S = 0.5


def planted(copying: Copying, right: str, wrong: str) -> Copying:
    """The same, with one of its statements spoilt."""
    statement = copying.statements["rowcall.read_events"]
    assert right in statement.text
    spoilt = Statement.compile(statement.name, statement.text.replace(right, wrong))
    return replace(copying, statements={**copying.statements, statement.name: spoilt})


@pytest.mark.parametrize("events", SIZES)
async def test_what_twelve_writers_commit_is_recorded_exactly_once_and_in_order(
    events: int, recording: WorkerSettings, served: Served, pipeline: Pipeline, sql: asyncpg.Connection
):
    async with relaying(recording, served):
        await storm(pipeline, events)
        await complete(recording, sql)

    assert await assert_exact(recording, sql) >= events


@pytest.mark.parametrize("events", SIZES)
async def test_a_record_that_is_flushed_meanwhile_is_whole_again(
    events: int, settings: WorkerSettings, served: Served, pipeline: Pipeline, sql, tmp_path: Path
):
    async with own_redis(tmp_path) as server:
        own = settings.model_copy(update={"redis_url": SecretStr(server.url)})
        async with relaying(own, served), client_of(own) as client:
            writing = asyncio.create_task(storm(pipeline, events))
            while await client.xlen(Names(own.prefix).events) < events // 2:
                await asyncio.sleep(0.01)
            await client.flushall()
            await writing
            await complete(own, sql)

        assert await assert_exact(own, sql) >= events


@pytest.mark.parametrize(("events", "away_s"), [(SMALL, 0.5), pytest.param(LARGE, 30, marks=SIZES[1].marks)])
async def test_while_redis_is_away_calls_go_on_and_all_is_recorded_afterwards(
    events: int, away_s: float, settings: WorkerSettings, served: Served, pipeline: Pipeline, sql, tmp_path: Path
):
    async with own_redis(tmp_path) as server:
        own = settings.model_copy(update={"redis_url": SecretStr(server.url)})
        async with relaying(own, served):
            await storm(pipeline, events // 2)
            await server.stop()
            await asyncio.gather(storm(pipeline, events // 2, seed=100), asyncio.sleep(away_s))
            await server.start()
            await complete(own, sql)

        assert await assert_exact(own, sql) >= events


async def test_nothing_is_recorded_past_a_transaction_that_may_still_commit(
    new_copying: NewCopying, recording, postgres_url, sql
):
    copying = await new_copying()
    async with connected(postgres_url) as other:
        transaction = other.transaction()
        await transaction.start()
        await draw(other, "first")
        await draw(sql, "second")
        copied = asyncio.create_task(copying.copy())
        while not await sql.fetchval("select count(*) from pg_stat_activity where query like '%as decided%'"):
            await asyncio.sleep(0.01)
        before = await recorded(recording)
        await transaction.commit()
        await copied

    assert before == {}
    assert [event["data"]["it"] for event in (await recorded(recording)).values()] == ["first", "second"]


async def test_that_would_be_lost_with_the_other_bound(new_copying: NewCopying, recording, postgres_url, sql):
    """The last completed transaction tells nothing of those that run: the planted mistake loses an event."""
    copying = planted(await new_copying(), "pg_snapshot_xmin", "pg_snapshot_xmax")
    async with connected(postgres_url) as other:
        async with other.transaction():
            await draw(other, "first")
            await draw(sql, "second")
            await copying.copy()
        await copying.copy()

    assert [event["data"]["it"] for event in (await recorded(recording)).values()] == ["second"]
    assert len(await committed(sql)) == 2


@pytest.mark.parametrize(
    ("order", "told"), [("order by seq", ["first", "second"]), ("order by xmin::text::bigint", ["second", "first"])]
)
async def test_events_are_in_the_order_of_their_numbers_not_of_their_transactions(
    order: str, told: list[str], new_copying: NewCopying, recording, postgres_url, sql
):
    """A transaction gets its id at its first write, before it waits for the row; in that order they would be wrong."""
    copying = planted(await new_copying(), "order by seq", order)
    statement = copying.statements["rowcall.read_events"]
    async with connected(postgres_url) as other, other.transaction():
        await other.fetchval("select pg_current_xact_id()")  # it writes elsewhere first
        await draw(sql, "first")
        await draw(other, "second")

    values = {"after": 0, "horizon": 2, "xid": "1", "receipts": 9}
    rows = await sql.fetch(statement.sql.replace("order by r.seq", ""), *statement.bind(values))
    assert [row["events"].split('"it": "')[1].split('"')[0] for row in rows] == told


async def test_a_relay_that_slept_while_another_worked_appends_nothing(new_copying: NewCopying, recording, sql):
    first, second = await new_copying(), await new_copying()
    await draw(sql, "early")
    rows = await asleep_with(first, sql)
    await draw(sql, "late")
    await second.copy()

    with pytest.raises(MovedOnError):
        await first._append(rows)

    await first.find_place()
    await first.copy()
    assert [event["data"]["it"] for event in (await recorded(recording)).values()] == ["early", "late"]


async def asleep_with(copying: Copying, sql: asyncpg.Connection) -> list[asyncpg.Record]:
    """What a relay had read when it was stopped."""
    return await copying._read(await sql.fetchval("select last_value from rowcall.event_seq"), "1")


async def test_a_lost_answer_of_redis_doubles_nothing(settings, recording, served, pipeline, sql):
    async with proxied(settings.redis_url.get_secret_value()) as (proxy, url):
        through = settings.model_copy(update={"redis_url": SecretStr(url)})
        async with relaying(through, served):
            for seed in range(3):
                writing = asyncio.create_task(storm(pipeline, 300, seed))
                await asyncio.sleep(0)
                proxy.lose_answer()
                await writing
            await complete(recording, sql)

    assert await assert_exact(recording, sql) >= 900


async def test_two_relays_at_once_do_no_harm(new_copying: NewCopying, recording, pipeline, sql):
    async def work(copying: Copying) -> None:
        while True:
            try:
                await copying.copy()
                await asyncio.sleep(0)
            except MovedOnError:
                await copying.find_place()

    both = [asyncio.create_task(work(await new_copying())) for _ in range(2)]
    await storm(pipeline, 1000)
    await complete(recording, sql)
    await end(*both)

    assert await assert_exact(recording, sql) >= 1000


async def test_another_relay_takes_over_when_the_session_of_the_first_ends(recording, served, accounts, sql):
    held = "select pid from pg_locks where locktype = 'advisory' and granted and database = (select oid from"
    held += " pg_database where datname = current_database())"
    async with relaying(recording, served), relaying(recording, served):
        await accounts.open_account("a-1", "me")
        await complete(recording, sql)
        pid = await sql.fetchval(held)
        await sql.execute("select pg_terminate_backend($1)", pid)
        await accounts.deposit("a-1", 1)
        await complete(recording, sql)

    assert len(await recorded(recording)) == 2


async def test_a_stream_that_lost_its_end_gets_it_again(new_copying: NewCopying, recording, sql):
    copying = await new_copying()
    for it in range(10):
        await draw(sql, it)
    await copying.copy()
    async with client_of(recording) as client:
        key, entries = Names(recording.prefix).events, await recorded(recording)
        await client.delete(key)
        for place, event in list(entries.items())[:5]:
            await client.xadd(key, {"event": Event.model_validate(event).model_dump_json()}, id=place)

    with pytest.raises(MovedOnError):
        await keep_house_now(copying)
    await copying.find_place()
    await copying.copy()

    assert await recorded(recording) == await committed(sql)


async def keep_house_now(copying: Copying) -> None:
    copying.kept_at = copying.trimmed_at = float("-inf")
    await copying.keep_house()


async def test_a_record_built_anew_holds_the_newest_and_knows_where_it_begins(new_copying: NewCopying, recording, sql):
    for it in range(1010):
        await draw(sql, it, it)
    few = recording.model_copy(update={"event_entries": 1000})

    copying = await new_copying(few)
    await copying.copy()
    await keep_house_now(copying)

    places = [Place.read(place) for place in await recorded(recording)]
    assert (len(places), places[0], places[-1]) == (1000, Place(511, 0), Place(1010, 1))
    assert (await copying.stream.look()).trimmed == Place(510, 1)


async def test_what_is_recorded_is_what_was_told_live(new_copying: NewCopying, recording, accounts, events, sql):
    await accounts.open_account("ä/☃ }, { \\ \" '", "me")
    await accounts.open_account("b", "}, {")
    await accounts.deposit("b", 500, "not told")
    await accounts.transfer("b", "ä/☃ }, { \\ \" '", 5)

    copying = await new_copying()
    await copying.copy()

    assert list((await recorded(recording)).values()) == [event.model_dump() for event in events]


async def test_receipts_without_events_are_passed(new_copying: NewCopying, recording, sql):
    await draw(sql)
    await sql.execute("update rowcall.receipts set events = '[]'")
    await sql.fetchval("select nextval('rowcall.event_seq')")  # and rolled back

    copying = await new_copying()
    copied = [await copying.copy(), await copying.copy()]

    assert (copied, copying.seq, await end_of(recording)) == ([True, False], 2, None)
