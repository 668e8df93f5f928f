"""A time-out is asked about, through the real broker, and decided."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from accounts import Accounts, AsyncAccounts, SyncAccounts
from rpc_client import (
    AsyncClient,
    Client,
    ClientSettings,
    Conflict,
    DeadlineExceeded,
    InsufficientCredits,
    OutcomeUnknown,
)
from tests.acceptance.test_cli import Rowcall

TIMED_OUT = 100
"""Calls whose callers lose patience about when they run."""


@pytest.fixture
async def accounts(worker, client: AsyncClient) -> AsyncAccounts:
    accounts = AsyncAccounts(client)
    await accounts.open_account("a-1", "me")
    return accounts


@pytest.fixture
async def sync_client(settings) -> AsyncIterator[Client]:
    client = Client(ClientSettings.model_validate(settings.model_dump()))
    yield client
    await asyncio.to_thread(client.close)


async def entries(sql: asyncpg.Connection, note: str) -> int:
    return await sql.fetchval("select count(*) from accounts.entries where note = $1", note)


async def test_every_call_that_timed_out_is_decided_and_the_rows_agree(accounts, client, sql):
    async def impatient(n: int) -> str:
        """What became of it: its result, or that it is fenced."""
        hurried = AsyncAccounts(client.with_options(timeout_s=0.001 + n % 20 / 1000))
        try:
            await hurried.deposit("a-1", 1, str(n))
        except OutcomeUnknown as error:
            outcome = await client.outcome(error.request_id, fence=True)
            assert await entries(sql, str(n)) == (outcome.state == "done")
            return outcome.state
        except (Conflict, DeadlineExceeded):  # the worker was first to say so
            return "fenced"
        return "done"

    states = [await impatient(n) for n in range(TIMED_OUT)]

    assert set(states) <= {"done", "fenced"}
    assert [await entries(sql, str(n)) for n in range(TIMED_OUT)] == [state == "done" for state in states]


async def test_a_call_nobody_took_is_fenced_and_does_not_run_when_a_worker_comes(start_worker, client, sql):
    worker = await start_worker()
    accounts = AsyncAccounts(client)
    await accounts.open_account("a-1", "me")
    await worker.stop()
    request_id = await client.send(Accounts.deposit, "a-1", 5)

    asking = asyncio.ensure_future(client.outcome(request_id, fence=True))
    await start_worker()
    outcome = await asking

    repeated = AsyncAccounts(client.with_options(request_id=request_id)).deposit
    if outcome.state == "done":  # the two may be taken in either order
        assert (outcome.result(Accounts.deposit), await repeated("a-1", 5)) == (5, 5)
    else:
        with pytest.raises(Conflict) as caught:
            await repeated("a-1", 5)
        assert caught.value.details == {"reason": "fenced"}
    assert (await accounts.get_account("a-1")).balance == (5 if outcome.state == "done" else 0)


async def test_the_sync_client_is_told_the_same(accounts, client, sync_client):
    request_id = uuid4()
    with pytest.raises(InsufficientCredits):
        await AsyncAccounts(client.with_options(request_id=request_id)).withdraw("a-1", 5)

    def story() -> None:
        outcome = sync_client.outcome(request_id, fence=True)
        assert (outcome.state, outcome.method) == ("failed", "accounts.withdraw")
        with pytest.raises(InsufficientCredits):
            outcome.result(Accounts.withdraw)
        fenced = sync_client.outcome(uuid4(), fence=True)
        with pytest.raises(Conflict):
            SyncAccounts(sync_client.with_options(request_id=fenced.id)).deposit("a-1", 5)

    await asyncio.to_thread(story)


async def test_the_command_line_says_it_in_a_line_and_by_its_exit_code(accounts, client, settings, sql, tmp_path: Path):
    rowcall, done, failed, unknown = Rowcall(settings, tmp_path), uuid4(), uuid4(), str(uuid4())
    await AsyncAccounts(client.with_options(request_id=done)).deposit("a-1", 5)
    with pytest.raises(InsufficientCredits):
        await AsyncAccounts(client.with_options(request_id=failed)).withdraw("a-1", 50)

    said = [await rowcall("outcome", *words) for words in ([str(done)], [str(failed)], [unknown], [unknown, "--fence"])]
    as_json = await rowcall("outcome", str(done), "--json")

    assert [(ran.code, ran.out.strip()) for ran in said] == [
        (0, "done: accounts.deposit answered 5"),
        (3, "failed: accounts.withdraw changed nothing; InsufficientCredits: balance 5 is below the amount 50 (cents)"),
        (6, "no trace: it never arrived, waits, or runs right now; --fence decides it"),
        (4, "fenced: it did not run and never will"),
    ]
    assert (as_json.code, json.loads(as_json.out)) == (
        0,
        {"id": str(done), "state": "done", "method": "accounts.deposit", "reply": {"result": 5}},
    )
