"""Two callers under one id wait for one call, and each for as long as it likes."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient, OutcomeUnknown


@pytest.fixture
async def declared(start_worker, client: AsyncClient) -> None:
    """Queues in which calls wait for the worker to come, and an account."""
    worker = await start_worker()
    await AsyncAccounts(client).open_account("a-1", "me")
    await worker.stop()


async def test_whoever_waits_with_a_cancelled_call_goes_on_without_it(declared, start_worker, client, sql):
    deposit = AsyncAccounts(client.with_options(request_id=uuid4())).deposit
    first, *others = [asyncio.ensure_future(deposit("a-1", 5)) for _ in range(3)]
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.wait([first])
    await start_worker()

    assert await asyncio.gather(*others) == [5, 5]
    assert first.cancelled()
    assert await sql.fetchval("select balance from accounts.accounts") == 5


async def test_whoever_waits_with_a_call_that_ran_out_of_time_has_time_of_its_own(declared, start_worker, client, sql):
    under = client.with_options(request_id=uuid4())
    first = asyncio.ensure_future(AsyncAccounts(under.with_options(timeout_s=0.2)).deposit("a-1", 5))
    others = [asyncio.ensure_future(AsyncAccounts(under).deposit("a-1", 5)) for _ in range(2)]

    with pytest.raises(OutcomeUnknown, match=r"in 0\.2 s"):
        await first
    await start_worker()

    assert await asyncio.gather(*others) == [5, 5]
    assert await sql.fetchval("select balance from accounts.accounts") == 5


async def test_whoever_is_cancelled_leaves_the_others_alone(declared, start_worker, client):
    deposit = AsyncAccounts(client.with_options(request_id=uuid4())).deposit
    first, second = [asyncio.ensure_future(deposit("a-1", 5)) for _ in range(2)]
    await asyncio.sleep(0)

    second.cancel()
    await asyncio.wait([second])
    await start_worker()

    assert (await first, second.cancelled()) == (5, True)
