"""The record of events as programs read it: from a cursor, through outages, once, with every gap told."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from accounts import AsyncAccounts
from rpc_client import record
from rpc_client.events import Event, Gap, subscribe
from rpc_client.wire import Names
from tests.processes import environment
from tests.proxy import proxied
from tests.record import client_of, complete, draw, own_redis, recorded, relaying
from worker import stream
from worker.cli import app
from worker.served import Served
from worker.settings import WorkerSettings


@pytest.fixture
async def recorder(settings: WorkerSettings, served: Served) -> AsyncIterator[WorkerSettings]:
    """What commits in this test is recorded, by a relay alone."""
    async with relaying(settings, served):
        yield settings
    await stream.delete(settings)


async def read(settings: WorkerSettings, how_many: int, **options: Any) -> list[Event | Gap]:
    """The next so many things that a subscriber is told."""
    found: list[Event | Gap] = []
    async with asyncio.timeout(30), subscribe(settings=settings, **options) as events:
        async for item in events:
            found.append(item)
            if len(found) == how_many:
                break
    return found


def told(items: list[Event | Gap]) -> list[Any]:
    """What each was, in a word."""
    return [item.data.get("amount", item.type) if isinstance(item, Event) else item.reason for item in items]


async def test_a_subscriber_is_told_what_commits_from_now_on(accounts: AsyncAccounts, recorder, sql):
    await accounts.open_account("a-1", "me")
    await complete(recorder, sql)

    async with subscribe("accounts/account/a-*", recorder) as events:
        await accounts.deposit("a-1", 5)
        event = await anext(events)

    assert isinstance(event, Event)
    assert (event.type, event.data, event.aggregate_id) == ("Deposited", {"amount": 5, "balance": 5}, "a-1")


async def test_another_process_goes_on_where_one_stopped(accounts: AsyncAccounts, recorder, sql):
    await accounts.open_account("a-1", "me")
    for amount in range(1, 6):
        await accounts.deposit("a-1", amount)
    await complete(recorder, sql)

    first = await read(recorder, 3, from_="beginning")
    rest = await read(recorder, 3, from_=first[-1].cursor)

    assert told(first) == ["AccountOpened", 1, 2]
    assert told(rest) == [3, 4, 5]


async def test_only_what_the_pattern_names_is_told(accounts: AsyncAccounts, recorder, sql):
    for account in ("a-1", "b-1", "a-2"):
        await accounts.open_account(account, "me")
    await complete(recorder, sql)

    async with subscribe("accounts/*/a-*", recorder, from_="beginning", follow=False) as events:
        found = [event.aggregate_id async for event in events if isinstance(event, Event)]

    assert found == ["a-1", "a-2"]


async def test_a_subscriber_outlives_outages_and_hears_nothing_twice(
    accounts: AsyncAccounts, settings: WorkerSettings, served: Served, sql, tmp_path: Path
):
    await accounts.open_account("a-1", "me")
    async with own_redis(tmp_path) as server:
        own = settings.model_copy(update={"redis_url": SecretStr(server.url)})
        async with relaying(own, served):
            reading = asyncio.create_task(read(own, 13, from_="beginning"))
            for outage in range(2):
                for n in range(6):
                    await accounts.deposit("a-1", outage * 6 + n + 1)
                await complete(own, sql)
                await server.stop()
                await server.start()
                async with client_of(own) as client:
                    await client.flushall()

            assert told(await reading) == ["AccountOpened", *range(1, 13)]
            await complete(own, sql)
            assert len(await recorded(own)) == 13


async def test_a_subscriber_may_come_before_redis_and_before_the_first_worker(
    accounts: AsyncAccounts, settings: WorkerSettings, served: Served, tmp_path: Path
):
    async with own_redis(tmp_path) as server:
        own = settings.model_copy(update={"redis_url": SecretStr(server.url)})
        await server.stop()
        entered = asyncio.Event()

        async def first() -> Event | Gap:
            async with subscribe(settings=own) as events:
                entered.set()
                return await anext(events)

        reading = asyncio.create_task(first())
        await asyncio.sleep(0)
        await server.start()
        await entered.wait()
        async with relaying(own, served):
            await accounts.open_account("a-1", "me")

            assert told([await reading]) == ["AccountOpened"]


async def test_a_page_that_does_not_come_in_time_is_asked_for_in_smaller_ones(
    settings: WorkerSettings, recorder, sql, monkeypatch
):
    monkeypatch.setattr(record, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(record, "LONGEST_PAUSE_S", 0.1)
    for it in range(10):
        await draw(sql, *[f"{it}" * 10_000] * 10)
    await complete(recorder, sql)

    async with proxied(settings.redis_url.get_secret_value()) as (proxy, url):
        proxy.bytes_per_s = 1e6
        through = settings.model_copy(update={"redis_url": SecretStr(url)})
        found = await read(through, 100, from_="beginning")

    assert [item.data["it"][0] for item in found if isinstance(item, Event)] == [f"{n // 10}" for n in range(100)]


async def test_what_was_trimmed_unread_is_a_gap_and_what_was_read_is_none(accounts: AsyncAccounts, recorder, sql):
    await accounts.open_account("a-1", "me")
    for amount in range(1, 6):
        await accounts.deposit("a-1", amount)
    await complete(recorder, sql)
    cursors = [event.cursor for event in await read(recorder, 6, from_="beginning")]
    async with client_of(recorder) as client:
        names = Names(recorder.prefix)
        await client.xtrim(names.events, maxlen=3, approximate=False)
        await client.hset(names.about_events, "trimmed", cursors[2].partition(":")[2])

    behind, in_time = await read(recorder, 4, from_=cursors[1]), await read(recorder, 3, from_=cursors[2])

    assert told(behind) == ["trimmed", 3, 4, 5]
    assert behind[0] == Gap("trimmed", after=cursors[1], before=cursors[3])
    assert told(in_time) == [3, 4, 5]


async def test_a_new_generation_is_a_gap_after_which_all_that_there_is_is_told(accounts: AsyncAccounts, recorder, sql):
    await accounts.open_account("a-1", "me")
    await complete(recorder, sql)
    (opened,) = await read(recorder, 1, from_="beginning")
    assert isinstance(opened, Event)

    reading = asyncio.create_task(read(recorder, 3, from_=opened.cursor))
    said = await rowcall(recorder, "events", "--new-generation")
    await accounts.deposit("a-1", 5)

    assert "generation" in said
    assert told(await reading) == ["generation", "AccountOpened", 5]


@pytest.mark.parametrize("spoilt", ['{"type": "Told"}', '{"aggregate_id": null}', '"Told"', "{}"])
async def test_an_event_that_cannot_be_read_is_a_gap_for_those_who_want_it_and_ends_nobodys_reading(
    accounts: AsyncAccounts, recorder, sql, spoilt: str
):
    async with sql.transaction():
        await draw(sql, "it")
        await sql.execute("update rowcall.receipts set events = jsonb_build_array($1::jsonb)", spoilt)
    await accounts.open_account("a-1", "me")
    await complete(recorder, sql)

    everything = await read(recorder, 2, from_="beginning")
    after_it = await read(recorder, 1, from_=everything[0].after)
    others = await read(recorder, 1, from_="beginning", pattern="accounts/*")

    assert told(everything) == ["unreadable", "AccountOpened"]
    assert told(after_it) == told(others) == ["AccountOpened"]


@pytest.mark.parametrize("listens", [True, False])
async def test_a_restored_database_with_an_emptied_redis_is_a_gap(
    listens: bool, settings: WorkerSettings, served: Served, sql, tmp_path: Path
):
    async with own_redis(tmp_path) as server:
        own = settings.model_copy(update={"redis_url": SecretStr(server.url)})
        for it in ("kept", "lost", "lost"):
            await draw(sql, it)
        async with relaying(own, served):
            await complete(own, sql)
            last = (await read(own, 3, from_="beginning"))[-1]
            reading = asyncio.create_task(read(own, 2, from_=last.cursor)) if listens else None
            async with client_of(own) as client:
                while listens and not (await client.info("clients"))["blocked_clients"]:
                    await asyncio.sleep(0.01)
        await sql.execute(
            "delete from rowcall.receipts where seq > 1; select setval('rowcall.event_seq', 1);"
            "update rowcall.relay set position = 1, history = 1"
        )
        async with client_of(own) as client:
            await client.flushall()

        async with relaying(own, served):
            await complete(own, sql)
            reading = reading or asyncio.create_task(read(own, 2, from_=last.cursor))
            found = await reading

    assert isinstance(last, Event)
    assert isinstance(found[1], Event)
    assert isinstance(found[0], Gap)
    assert (found[0].reason, found[0].after) == ("generation", last.cursor)
    assert found[1].data == {"it": "kept"}


@pytest.mark.parametrize("place", ["", "yesterday", "5-0", "0198c5a4-0000-7000-8000-000000000000:5"])
async def test_a_place_that_is_none_is_refused_with_what_would_be_right(settings: WorkerSettings, place: str):
    with pytest.raises(ValueError, match="'now', 'beginning', or the cursor of an event"):
        async with subscribe(settings=settings, from_=place):
            pass


async def rowcall(settings: WorkerSettings, *words: str) -> str:
    """What a command printed, once it has ended well."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", "from worker.cli import app; app()", *words],
        stdout=asyncio.subprocess.PIPE,
        env={**environment(settings), "COLUMNS": "200"},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, output
    return output.decode()


async def test_the_command_prints_the_record_for_programs_from_any_place(accounts: AsyncAccounts, recorder, sql):
    await accounts.open_account("a-1", "me")
    await accounts.deposit("a-1", 5)
    await complete(recorder, sql)

    (opened,) = await read(recorder, 1, from_="beginning")

    rest = await rowcall(recorder, "events", "--json", "--pattern", "accounts/*", "--from", opened.cursor)

    (second,) = map(json.loads, rest.splitlines())
    assert (second["type"], second["data"], second["seq"]) == ("Deposited", {"amount": 5, "balance": 5}, 2)


async def test_the_command_prints_numbers_of_any_size_as_they_were_written(recorder, sql):
    huge = "1" + "0" * 400
    async with sql.transaction():
        await draw(sql, 1, 2)
        await sql.execute("update rowcall.receipts set events = jsonb_set(events, '{1,data,it}', $1)", huge)
    await complete(recorder, sql)

    assert huge in await rowcall(recorder, "events")


def test_the_command_says_in_one_line_what_a_place_is():
    result = CliRunner().invoke(app, ["events", "--from", "yesterday"])

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("--from: 'yesterday' is no place in the record of events")
