"""Clocks that differ, of whole processes: calls are answered, and none runs long after its time."""

from __future__ import annotations

import asyncio
import sys
import time
from uuid import uuid4

import asyncpg
import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client.wire import encode_call
from tests.acceptance.broker import connected_peer
from tests.faults.given import mortal
from tests.processes import environment
from worker.settings import WorkerSettings

CALLS, TIMEOUT_S = 5, 20
DAY_S = 86_400
SKEWED = ("-m", "tests.faults.skewed")
DEPOSIT = "accounts.deposit"


async def called(settings: WorkerSettings, seconds: float, how: str = "call") -> dict:
    """What a client process hears whose clock is that far ahead."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *SKEWED, str(seconds), "-m", "tests.faults.caller", str(CALLS), "a-1", how),
        env={**environment(settings), "ROWCALL_TIMEOUT_S": str(TIMEOUT_S)},
        stdout=asyncio.subprocess.PIPE,
    )
    async with mortal(process), asyncio.timeout(60):
        (out, _) = await process.communicate()
    return orjson.loads(out)


@pytest.fixture
async def account(worker, client) -> None:
    await AsyncAccounts(client).open_account("a-1", "me")


async def fates(sql: asyncpg.Connection) -> tuple[int, int]:
    """How many deposits were made, and how many came too late."""
    expired = await sql.fetchval("select count(*) from rowcall.dead_letters where reason = 'expired'")
    return await deposits(sql), expired


async def deposits(sql: asyncpg.Connection) -> int:
    return await sql.fetchval("select count(*) from accounts.entries")


@pytest.mark.parametrize(
    ("seconds", "messages"),
    [
        (-30, CALLS + 1),
        pytest.param(30, CALLS, marks=pytest.mark.heavy),
        pytest.param(-DAY_S, CALLS + 1, marks=pytest.mark.heavy),
    ],
)
async def test_clock_skew_of_a_client_fails_no_call(settings, account, sql, seconds, messages):
    """One whose clock is behind learns it from the first answer, at the cost of one message more."""
    said = await called(settings, seconds)

    assert (len(said.pop("done", [])), said) == (CALLS, {"messages": messages})
    assert await deposits(sql) == CALLS


async def test_ids_that_a_client_makes_a_day_ahead_are_refused_and_nothing_runs(settings, account, sql):
    said = await called(settings, DAY_S)

    refused = said["InvalidRequest"]
    assert len(refused) == CALLS
    assert {"clock" in error["message"] for error in refused} == {True}
    assert await deposits(sql) == 0


@pytest.mark.parametrize(("seconds", "fate"), [(-200, (CALLS, 0)), (-600, (0, CALLS))])
async def test_what_is_sent_without_waiting_by_a_clock_behind_is_done_or_a_dead_letter(
    settings, account, sql, seconds, fate
):
    said = await called(settings, seconds, "send")
    async with asyncio.timeout(20):
        while sum(found := await fates(sql)) < CALLS:
            await asyncio.sleep(0.02)

    assert len(said["done"]) == CALLS
    assert found == fate


@pytest.mark.parametrize("seconds", [30, pytest.param(-30, marks=pytest.mark.heavy)])
async def test_clock_skew_of_a_worker_fails_no_call(start_worker, settings, client, sql, seconds):
    await start_worker(*SKEWED, str(seconds))
    await AsyncAccounts(client).open_account("a-1", "me")

    said = await called(settings, 0)

    assert (len(said.pop("done", [])), said) == (CALLS, {"messages": CALLS})
    assert await deposits(sql) == CALLS
    assert await sql.fetchval("select max(deadline - at) < interval '21 s' from rowcall.receipts")


async def test_a_deadline_of_a_clock_ahead_gives_no_more_time_than_the_broker_was_told(settings, worker, sql):
    """The sender's clock is an hour ahead, its message keeps for two seconds, and the row is locked for longer."""
    async with connected_peer(settings) as peer:
        await peer.send(opening("a-1"), "write.accounts.open_account")
        await peer.reply()
        async with sql.transaction():
            await sql.execute("select from accounts.accounts for update")
            late = encode_call(
                str(uuid4()), DEPOSIT, b'{"account_id":"a-1","amount":1}', int(time.time() + 3600) * 1000, 1
            )
            await peer.send(late, f"write.{DEPOSIT}", expiration=2)
            answer = orjson.loads((await peer.reply()).body)

    assert answer["error"] in {"DeadlineExceeded", "Conflict"}
    assert await deposits(sql) == 0


def opening(account: str) -> bytes:
    deadline_ms = int(time.time() + 10) * 1000
    return encode_call(
        str(uuid4()), "accounts.open_account", orjson.dumps({"account_id": account, "owner": "me"}), deadline_ms, 1
    )


async def test_a_worker_that_runs_follows_when_its_clock_or_the_databases_is_set(database, monkeypatch):
    monkeypatch.setattr("worker.database.CLOCK_EVERY_S", 0.01)
    right = time.time
    keeping = asyncio.create_task(database.keep_clock())
    try:
        for seconds in (30.0, -30.0, 0.0):
            monkeypatch.setattr(time, "time", lambda ahead_s=seconds: right() + ahead_s)
            async with asyncio.timeout(20):
                while abs(database.clock.ahead_s + seconds) > 1:
                    await asyncio.sleep(0.01)
    finally:
        keeping.cancel()

    assert database.clock.ahead_s == 0
