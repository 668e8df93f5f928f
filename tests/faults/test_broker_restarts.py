"""A broker that is killed, or stopped and started again: no call fails, and each has run once."""

from __future__ import annotations

import asyncio
import time

import pytest

from accounts import AsyncAccounts, SyncAccounts
from rpc_client import AsyncClient, Client, OutcomeUnknown
from tests.faults.given import Place, client_settings, ledger, place, until
from tests.own_servers import OwnServer

TOGETHER = 640
SETTLED_S = 4.0
"""RabbitMQ 3.10 lets nobody consume a quorum queue again that was killed within a second of its declaration."""


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


@pytest.mark.heavy
@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["killed", "stopped"])
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
        try:
            async with AsyncClient(client_settings(there.settings, timeout_s=90)) as other:
                together = [asyncio.ensure_future(AsyncAccounts(other).deposit("a-1", 1)) for _ in range(TOGETHER)]
                await asyncio.wait(together, return_when=asyncio.FIRST_COMPLETED)

                await asyncio.sleep(SETTLED_S)
                await (own_rabbitmq.kill() if how == "killed" else own_rabbitmq.stop())
                while_away = [asyncio.ensure_future(patient.deposit("a-1", 1)) for _ in range(TOGETHER)]
                gone = time.monotonic()
                await own_rabbitmq.start()
                back = time.monotonic()
                await asyncio.wait(while_away, return_when=asyncio.FIRST_COMPLETED)
                print(  # noqa: T201 - figures
                    f"{how}: away {back - gone:.1f} s; first answer {time.monotonic() - back:.1f} s after its return"
                )
                await asyncio.gather(*together, *while_away)
        finally:
            stop.set()  # or the thread would call for ever
        made = sum(await asyncio.gather(*callers))

    assert await ledger(sql) == (2 * TOGETHER + made,) * 2


@pytest.mark.heavy
@pytest.mark.timeout(180)
async def test_a_broker_that_stands_still_holds_up_no_deadline_and_no_close_and_fails_no_patient_call(
    own_rabbitmq: OwnServer, settings, tmp_path, sql
):
    async with place(settings, tmp_path, own_rabbitmq.url) as there:
        patient = AsyncAccounts(there.client.with_options(timeout_s=90))
        leaving = AsyncClient(client_settings(there.settings))
        await leaving.ping()
        with own_rabbitmq.frozen():
            stood = time.monotonic()
            calls = [asyncio.ensure_future(patient.deposit("a-1", 1)) for _ in range(100)]
            with pytest.raises(OutcomeUnknown, match=r"does not answer|could not be looked at"):
                async with asyncio.timeout(10):
                    await AsyncAccounts(there.client.with_options(timeout_s=2)).deposit("a-1", 1)
            async with asyncio.timeout(15):
                await leaving.close()
            await until(lambda: not there.client._transport._link.up.is_set())
            print(f"noticed after {time.monotonic() - stood:.1f} s")  # noqa: T201 - a figure
        went_on = time.monotonic()
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        print(f"first answer {time.monotonic() - went_on:.1f} s after it went on")  # noqa: T201 - a figure
        await asyncio.gather(*calls)

    balance, entries = await ledger(sql)
    assert balance == entries
    assert entries in {100, 101}  # the impatient one may have run: nobody said that it had not
