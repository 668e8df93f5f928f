"""What a relay does that cannot go on: it says why, where every worker's /ready sees it, and harms nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from rpc_client.record import LAST_N, Place
from rpc_client.tasks import end
from rpc_client.wire import Names
from tests.conftest import connected
from tests.proxy import proxied
from tests.record import client_of, complete, draw, recorded, relaying
from tests.services.conftest import NewCopying
from worker import copying as module
from worker.copying import Copying, HaltedError
from worker.database import Database
from worker.receipts import keep_partitions
from worker.relay import Relay
from worker.served import Served
from worker.servers import Servers
from worker.testing import scratch_database

RETENTION = 7
NOW = datetime.now(UTC)


async def keep_house_now(copying: Copying) -> None:
    copying.kept_at = copying.trimmed_at = float("-inf")
    await copying.keep_house()


async def test_an_event_that_cannot_be_read_ends_no_relay(new_copying: NewCopying, recording, sql: asyncpg.Connection):
    copying = await new_copying()
    await draw(sql, "before")
    await copying.copy()
    async with client_of(recording) as client:
        key, (place,) = Names(recording.prefix).events, await recorded(recording)
        await client.delete(key)
        await client.xadd(key, {"event": "no JSON"}, id=place)
    await draw(sql, "after")

    await copying.find_place()
    await keep_house_now(copying)
    await copying.copy()

    async with client_of(recording) as client:
        assert [place for place, _ in await client.xrange(key)] == [place, "2-0"]


# -- a stream that is not this database's ------------------------------------------------------------------------------


async def test_a_database_older_than_the_stream_is_noticed_and_nothing_is_copied(
    new_copying: NewCopying, recording, served: Served, database: Database, sql: asyncpg.Connection
):
    copying = await new_copying()
    await draw(sql, "lost by the restore")
    await copying.copy()
    await sql.execute("delete from rowcall.receipts; alter sequence rowcall.event_seq restart")

    with pytest.raises(HaltedError) as halted:
        await copying.find_place()
    with capture_logs() as logs:
        await copying.halt(str(halted.value))

    assert logs[0]["log_level"] == "error"
    assert logs[0]["event"] == "events are not recorded: the stream is not this database's"
    told, bearable = await Relay(recording, served.statements).state(database)
    assert (told, bearable) == ("the stream in Redis ends at 1-0, the database's last event at 0", False)


async def test_a_new_generation_sets_the_old_stream_aside_and_records_what_the_database_holds(
    new_copying: NewCopying, recording, served, database, sql
):
    copying = await new_copying()
    for it in ("first", "second"):
        await draw(sql, it)
    await copying.copy()
    await sql.execute("delete from rowcall.receipts where seq = 2; select setval('rowcall.event_seq', 1)")
    with pytest.raises(HaltedError):
        await copying.find_place()

    _, aside = await module.begin_generation(copying.connection, served.statements, copying.stream)
    await copying.find_place()
    await copying.copy()

    assert [event["data"]["it"] for event in (await recorded(recording)).values()] == ["first"]
    assert await Relay(recording, served.statements).state(database) == ("up", True)
    async with client_of(recording) as client:
        assert (await client.xlen(aside[0]), await client.exists(aside[1])) == (2, 1)


async def test_a_database_that_went_back_and_came_as_far_again_is_noticed(new_copying: NewCopying, sql):
    copying = await new_copying()
    await draw(sql, "lost by the restore")
    await copying.copy()
    await sql.execute("delete from rowcall.receipts; select setval('rowcall.event_seq', 1, false)")
    for it in ("instead", "further"):
        await draw(sql, it)

    with pytest.raises(HaltedError, match="another receipt for the event at 1-0"):
        await copying.find_place()


async def test_a_database_that_went_back_but_whose_sequence_did_not_is_noticed(new_copying: NewCopying, sql):
    copying = await new_copying()
    for it in ("kept", "lost by the restore"):
        await draw(sql, it)
    await copying.copy()
    await sql.execute("delete from rowcall.receipts where seq = 2; select setval('rowcall.event_seq', 34)")

    with pytest.raises(HaltedError, match="no receipt for the event at 2-0"):
        await copying.find_place()


async def test_a_stream_of_another_generation_is_left_alone(new_copying: NewCopying, recording, sql):
    copying = await new_copying()
    await draw(sql, "it")
    await copying.copy()
    await sql.execute("update rowcall.relay set generation = gen_random_uuid()")

    with pytest.raises(HaltedError, match="is of generation"):
        await copying.find_place()

    assert len(await recorded(recording)) == 1


# -- behind ------------------------------------------------------------------------------------------------------------


async def test_who_keeps_events_from_being_recorded_is_named_in_whichever_database_it_is(
    new_copying: NewCopying, servers: Servers, sql, monkeypatch
):
    monkeypatch.setattr(module, "LAG_S", 0.0)
    monkeypatch.setattr(module, "REMIND_S", 0.0)  # on a shared server somebody else's may be named first
    copying = await new_copying()
    async with (
        scratch_database(servers.postgres_url) as elsewhere,
        connected(elsewhere) as stranger,
        stranger.transaction(),
    ):
        await stranger.fetchval("select pg_current_xact_id()")
        pid, name = await stranger.fetchrow("select pg_backend_pid(), current_database()")
        await draw(sql, "it")

        with capture_logs() as logs:
            said = await wait_for_line(copying, logs, pid)

    assert (said["event"], said["log_level"]) == ("events are not recorded: an older transaction is open", "warning")
    assert (said["of_database"], said["state"]) == (name, "idle in transaction")
    assert said["age_s"] >= 0


async def wait_for_line(copying: Copying, logs: list, pid: int) -> dict:
    """The first line that names this process."""
    copied = asyncio.create_task(copying.copy())
    while not (named := [line for line in logs if line.get("pid") == pid]):
        await asyncio.sleep(0.01)
    await end(copied)
    return named[0]


async def test_ready_tells_how_long_the_oldest_event_waits_and_worries_after_half_the_retention(
    recording, served, database, sql
):
    relay = Relay(recording, served.statements)
    await draw(sql, "it")

    states = []
    for age in ("0 s", "12.3 s", "4 days"):
        await sql.execute(f"update rowcall.receipts set at = clock_timestamp() - interval '{age}'")
        states.append(await relay.state(database))

    assert states[0] == ("up", True)
    assert states[1] == ("12.3 s behind", True)
    assert states[2][1] is False


async def test_an_outage_is_said_once(settings, recording, served, sql):
    async with proxied(settings.redis_url.get_secret_value()) as (proxy, url):
        through = settings.model_copy(update={"redis_url": SecretStr(url)})
        proxy.refuse(5)
        with capture_logs() as logs:
            async with relaying(through, served):
                await draw(sql, "it")
                await complete(recording, sql)

    said = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert said == ["events are not recorded for now; they are in their receipts"]


# -- retention ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [(NOW - timedelta(days=RETENTION + 1)).date(), date(1970, 1, 1)])
async def test_receipts_are_not_dropped_before_their_events_are_recorded(new_copying: NewCopying, served, sql, day):
    copying = await new_copying()
    later = NOW + timedelta(days=2)
    seq = await draw(sql, "old")
    await sql.execute("update rowcall.receipts set day = $1, at = $2", day, NOW - timedelta(days=RETENTION + 1))
    held = "select count(*) from rowcall.receipts"

    await keep_partitions(sql, served.statements, now=later, retention_days=RETENTION)
    kept = await sql.fetchval(held)
    await copying.copy()
    await keep_house_now(copying)
    await keep_partitions(sql, served.statements, now=later, retention_days=RETENTION)

    assert (kept, await sql.fetchval(held)) == (1, 0)
    assert await sql.fetchval("select forgotten from rowcall.relay") == seq


async def test_the_stream_is_trimmed_to_what_receipts_hold_and_the_newest_removed_is_known(
    new_copying: NewCopying, recording, served, sql
):
    copying = await new_copying()
    for it in range(3):
        await draw(sql, it, it)
    await copying.copy()
    await keep_house_now(copying)
    await sql.execute("update rowcall.receipts set at = '2026-01-01Z' where seq <= 2")
    await keep_partitions(sql, served.statements, now=NOW, retention_days=RETENTION)

    await keep_house_now(copying)

    assert list(await recorded(recording)) == ["3-0", "3-1"]
    assert (await copying.stream.look()).trimmed == Place(2, 1)


async def test_what_was_forgotten_and_flushed_is_known_to_be_missing(new_copying: NewCopying, recording, served, sql):
    copying = await new_copying()
    for it in range(3):
        await draw(sql, it)
    await copying.copy()
    await keep_house_now(copying)
    await sql.execute("update rowcall.receipts set at = '2026-01-01Z' where seq <= 2")
    await keep_partitions(sql, served.statements, now=NOW, retention_days=RETENTION)
    async with client_of(recording) as client:
        await client.delete(Names(recording.prefix).events, Names(recording.prefix).about_events)

    await copying.find_place()
    await copying.copy()

    assert list(await recorded(recording)) == ["3-0"]
    assert (await copying.stream.look()).trimmed == Place(2, LAST_N)


async def test_who_waits_for_now_is_not_told_the_past_however_often_the_record_is_lost(
    new_copying: NewCopying, recording, sql
):
    copying = await new_copying()
    seq = [await draw(sql, it) for it in range(3)][-1]
    await copying.copy()
    await keep_house_now(copying)
    async with client_of(recording) as client:
        for _ in range(2):
            await client.delete(Names(recording.prefix).events, Names(recording.prefix).about_events)
            for _ in range(2):
                await copying.find_place()
                known = await client.hget(Names(recording.prefix).about_events, "history")

                assert known == str(seq)
