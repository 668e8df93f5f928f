"""A broker that is killed, or stopped and started again: no call fails, and each has run once."""

from __future__ import annotations

import asyncio
import time

import pytest

from accounts import AsyncAccounts, SyncAccounts
from rpc_client import AsyncClient, Client
from tests.faults.given import Place, client_settings, ledger, place
from tests.own_servers import OwnServer

LONE, TOGETHER = 30, 640


async def lone_calls(there: Place, stop: asyncio.Event) -> int:
    """One write and one read after the other, until told to stop. How many writes."""
    made = 0
    while not stop.is_set():
        await there.accounts.deposit("a-1", 1)
        assert (await there.accounts.get_account("a-1")).balance > made
        made += 1
    return made


def sync_calls(settings, stop: asyncio.Event) -> int:
    """The same, of a program without an event loop."""
    made = 0
    with Client(settings, timeout_s=60) as client:
        while not stop.is_set():
            SyncAccounts(client).deposit("a-1", 1)
            made += 1
    return made


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["killed", pytest.param("stopped", marks=pytest.mark.heavy)])
async def test_no_call_fails_while_the_broker_is_away_and_each_runs_once(
    own_rabbitmq: OwnServer, settings, tmp_path, sql, how
):
    async with place(settings, tmp_path, own_rabbitmq.url) as there:
        stop = asyncio.Event()
        callers = [
            asyncio.ensure_future(lone_calls(there, stop)),
            asyncio.ensure_future(asyncio.to_thread(sync_calls, client_settings(there.settings), stop)),
        ]
        patient = AsyncAccounts(there.client.with_options(timeout_s=90))
        async with AsyncClient(client_settings(there.settings, timeout_s=90)) as other:
            together = [asyncio.ensure_future(AsyncAccounts(other).deposit("a-1", 1)) for _ in range(TOGETHER)]
            await asyncio.wait(together, return_when=asyncio.FIRST_COMPLETED)

            await (own_rabbitmq.kill() if how == "killed" else own_rabbitmq.stop())
            while_away = [asyncio.ensure_future(patient.deposit("a-1", 1)) for _ in range(TOGETHER)]
            gone = time.monotonic()
            await own_rabbitmq.start()
            back = time.monotonic()
            await asyncio.wait(while_away, return_when=asyncio.FIRST_COMPLETED)
            print(  # noqa: T201 - figures
                f"{how}: away {back - gone:.1f} s; first answer {time.monotonic() - back:.1f} s after it answered again"
            )
            await asyncio.gather(*together, *while_away)
            stop.set()
            made = sum(await asyncio.gather(*callers))

    assert await ledger(sql) == (2 * TOGETHER + made,) * 2
