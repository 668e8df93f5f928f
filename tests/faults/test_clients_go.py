"""Clients that die, stop reading, or come back all at once; and one message that two workers get."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient
from tests.acceptance.broker import connected_peer
from tests.faults.given import PATIENCE_S, Place, client_settings, ledger, mortal, place
from tests.own_servers import OwnServer
from tests.processes import environment
from tests.proxy import proxied

PROGRAMS = Path(__file__).parent / "programs"
NOTE = "x" * 200
CLIENTS = 100
REPLIES_BYTES = 100 << 20


@pytest.fixture
async def there(settings, tmp_path) -> AsyncIterator[Place]:
    async with place(settings, tmp_path, settings.amqp_urls[0]) as there:
        yield there


@pytest.fixture
async def lonely(settings, tmp_path, own_rabbitmq: OwnServer) -> AsyncIterator[Place]:
    """The same at a broker that nobody else needs: it holds what is not read."""
    async with place(settings, tmp_path, own_rabbitmq.url) as there:
        yield there


async def test_what_a_client_called_before_it_was_killed_runs_once_and_its_outcome_is_told(there: Place, sql):
    there.worker.process.send_signal(signal.SIGSTOP)  # so that no reply comes before the client is dead
    try:
        program = await asyncio.create_subprocess_exec(
            *[sys.executable, str(PROGRAMS / "deposits.py")],
            stdout=asyncio.subprocess.PIPE,
            env=environment(there.settings),
        )
        async with mortal(program) as doomed, asyncio.timeout(PATIENCE_S):
            ids = [UUID((await doomed.stdout.readline()).decode().strip()) for _ in range(3)]
    finally:
        there.worker.process.send_signal(signal.SIGCONT)

    async with asyncio.timeout(PATIENCE_S):
        while [(await there.client.outcome(request_id)).state for request_id in ids] != ["done"] * 3:
            await asyncio.sleep(0.05)
    assert await ledger(sql) == (3, 3)
    assert await there.accounts.deposit("a-1", 1) == 4


@pytest.mark.heavy
async def test_one_message_that_two_workers_get_at_once_has_one_effect_and_one_answer(there: Place, sql):
    await there.start()
    deposit = {"id": str(uuid4()), "method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 5}}
    async with connected_peer(there.settings) as peer:
        await asyncio.gather(*(peer.send(orjson.dumps(deposit), "write.accounts.deposit") for _ in range(20)))
        replies = {(await peer.reply()).body for _ in range(20)}

    assert [orjson.loads(reply)["result"] for reply in replies] == [5]
    assert await ledger(sql) == (5, 1)


def resident(pid: int) -> int:
    """How many bytes of memory a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.heavy
@pytest.mark.timeout(180)
async def test_a_client_that_stops_reading_costs_neither_the_others_nor_the_worker(lonely: Place, sql):
    await asyncio.gather(*(lonely.accounts.deposit("a-1", 1, NOTE) for _ in range(1000)))
    entries = await lonely.accounts.list_entries("a-1", 1000)
    size = len(orjson.dumps([entry.model_dump(mode="json") for entry in entries]))
    before = resident(lonely.worker.process.pid)
    async with (
        proxied(lonely.settings.amqp_urls[0]) as (proxy, url),
        AsyncClient(client_settings(lonely.settings, url, timeout_s=120)) as slow,
    ):
        await slow.ping()
        proxy.hold(requests=False)
        many = range(REPLIES_BYTES // size)
        calls = [asyncio.ensure_future(AsyncAccounts(slow).list_entries("a-1", 1000)) for _ in many]
        for _ in range(100):
            assert (await lonely.accounts.get_account("a-1")).balance == 1000
        grown = resident(lonely.worker.process.pid) - before
        proxy.release()
        found = await asyncio.gather(*calls)

    print(f"{len(found)} replies of {size} bytes unread; the worker grew by {grown >> 20} MiB")  # noqa: T201 - figures
    assert {len(entries) for entries in found} == {1000}
    assert grown < REPLIES_BYTES


@pytest.mark.heavy
@pytest.mark.timeout(180)
async def test_a_hundred_clients_whose_connections_are_closed_at_once_all_come_back(
    own_rabbitmq: OwnServer, settings, tmp_path, sql
):
    async with place(settings, tmp_path, own_rabbitmq.url) as there, contextlib.AsyncExitStack() as stack:
        crowd = [await there.another_client(stack) for _ in range(CLIENTS)]
        await asyncio.gather(*(accounts.deposit("a-1", 1) for accounts in crowd))

        await own_rabbitmq.control("close_all_connections", "maintenance")
        began = time.monotonic()
        results = await asyncio.gather(*(accounts.deposit("a-1", 1) for accounts in crowd))

        print(f"{CLIENTS} clients were back after {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure
        assert sorted(results) == list(range(CLIENTS + 1, 2 * CLIENTS + 1))
    assert await ledger(sql) == (2 * CLIENTS, 2 * CLIENTS)


@pytest.mark.heavy
async def test_a_reply_queue_that_is_gone_is_no_trouble_of_the_workers(there: Place, sql):
    deposit = {"method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 1}}
    gone = there.client._transport._names.replies(uuid4())
    async with connected_peer(there.settings) as peer:
        for _ in range(5):
            body = orjson.dumps({"id": str(uuid4()), **deposit})
            await peer.send(body, "write.accounts.deposit", reply_to=gone, correlation_id=str(random.random()))

    async with asyncio.timeout(PATIENCE_S):
        while await ledger(sql) != (5, 5):
            await asyncio.sleep(0.02)
    assert await there.accounts.deposit("a-1", 1) == 6
    assert '"level": "warning"' not in there.worker.log.read_text()
