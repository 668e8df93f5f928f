"""A broker that takes no more messages, for want of memory or of disk."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from functools import partial

import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import OutcomeUnknown
from tests.acceptance.broker import connected_peer, take
from tests.faults.given import Place, answered, ledger, place, until
from tests.own_servers import OwnServer


@pytest.fixture
async def there(own_rabbitmq: OwnServer, settings, tmp_path) -> AsyncIterator[Place]:
    async with place(settings, tmp_path, own_rabbitmq.url) as there:
        yield there


async def test_in_an_alarm_a_call_ends_in_time_with_its_name_and_those_with_time_left_run_once(
    own_rabbitmq: OwnServer, there: Place, sql
):
    link = there.client._transport._link
    impatient = AsyncAccounts(there.client.with_options(timeout_s=1))
    async with own_rabbitmq.memory_alarm():
        first = asyncio.ensure_future(there.accounts.deposit("a-1", 1))  # tells the client of the alarm
        await until(lambda: link.socket.blocked)
        buffered = link.socket._writer.transport.get_write_buffer_size()
        patient = [asyncio.ensure_future(there.accounts.deposit("a-1", 1)) for _ in range(300)]

        with pytest.raises(OutcomeUnknown, match=r"takes no messages.*memory.*never left this client") as caught:
            await impatient.deposit("a-1", 1)

        assert link.socket._writer.transport.get_write_buffer_size() == buffered
        assert not any(call.done() for call in patient)

    assert caught.value.request_id
    await asyncio.gather(first, *patient)
    assert await ledger(sql) == (301, 301)


async def test_when_an_alarm_ends_whatever_still_waits_is_sent_again_as_another_attempt(
    own_rabbitmq: OwnServer, there: Place
):
    await there.worker.stop()
    accounts = AsyncAccounts(there.client)
    async with connected_peer(there.settings) as peer:
        queue = await peer.channel.get_queue(f"{there.settings.prefix}.write")
        before = there.client._transport._flights.published
        calls = [asyncio.ensure_future(accounts.deposit("a-1", 1))]
        await until(lambda: there.client._transport._flights.published > before)
        async with own_rabbitmq.memory_alarm():
            calls.append(asyncio.ensure_future(accounts.deposit("a-1", 2)))
            await until(lambda: there.client._transport._link.socket.blocked)

        seen: set[tuple[int, int]] = set()
        async with asyncio.timeout(30):
            while len(seen) < 4:
                lines = (await take(queue)).body.splitlines()
                seen |= {(line["args"]["amount"], line["attempt"]) for line in map(orjson.loads, lines)}

    assert seen == {(1, 1), (1, 2), (2, 1), (2, 2)}
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.heavy
@pytest.mark.parametrize("short_of", ["memory", "disk"])
async def test_in_an_alarm_workers_go_on_taking_and_acknowledging_what_lies_there(
    own_rabbitmq: OwnServer, there: Place, sql, short_of
):
    alarm = own_rabbitmq.memory_alarm if short_of == "memory" else partial(disk_alarm, own_rabbitmq)
    before = there.client._transport._flights.published
    there.worker.process.send_signal(signal.SIGSTOP)
    calls = [asyncio.ensure_future(there.accounts.deposit("a-1", 1)) for _ in range(3)]
    await until(lambda: there.client._transport._flights.published > before)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(there.worker.process.send_signal, signal.SIGCONT)
        await stack.enter_async_context(alarm())
        there.worker.process.send_signal(signal.SIGCONT)

        await answered(own_rabbitmq, "list_queues", "name", "messages", wanted=f"{there.settings.prefix}.write\t0")
        assert await ledger(sql) == (3, 3)

    await asyncio.gather(*calls)
    assert await ledger(sql) == (3, 3)


@contextlib.asynccontextmanager
async def disk_alarm(broker: OwnServer) -> AsyncIterator[None]:
    """While the block runs the broker takes no more messages, as one short of disk."""
    await broker.control("set_disk_free_limit", str(10**15))
    try:
        yield
    finally:
        await broker.control("set_disk_free_limit", "50MB")
