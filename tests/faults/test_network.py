"""A network that cuts, falls silent, or changes what it carries, between a client or a worker and the broker."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient, InvalidRequest, OutcomeUnknown
from rpc_client.frames import BUFFER_BYTES
from tests.acceptance.test_messages import PUBLISH, methods
from tests.faults.given import PATIENCE_S, Place, client_settings, ledger, place, until, until_said
from tests.proxy import Proxy, proxied

GARBAGE = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x01\x00\x01\x7f\xff\xff\xff",  # a frame without end
    b"\x01\x00\x01\x00\x00\x00\x04\x00\x3c\x00\x3c\xce",  # a delivery that is cut short
]
GREETING = b"AMQP\x00\x00\x09\x01"


@pytest.fixture
async def there(settings, tmp_path) -> AsyncIterator[Place]:
    async with place(settings, tmp_path, settings.amqp_urls[0]) as there:
        yield there


@contextlib.asynccontextmanager
async def through_a_proxy(there: Place, *more_urls: str, **changes: object) -> AsyncIterator[tuple[Proxy, AsyncClient]]:
    """A client that has called once already, with a proxy between itself and the broker."""
    async with proxied(there.settings.amqp_urls[0]) as (proxy, url):
        there_by = client_settings(there.settings, ",".join([url, *more_urls]), timeout_s=PATIENCE_S, **changes)
        async with AsyncClient(there_by) as client:
            await client.ping()
            yield proxy, client


def published(proxy: Proxy) -> int:
    """How many messages have left the client, over however many connections."""
    connections = bytes(proxy.sent).split(GREETING)[1:]
    return sum(methods(GREETING + connection).count(PUBLISH) for connection in connections)


@pytest.mark.heavy
async def test_a_network_that_falls_silent_is_noticed_and_another_address_is_used(there: Place, sql):
    async with through_a_proxy(there, there.settings.amqp_urls[0], heartbeat_s=1) as (proxy, client):
        proxy.hold()
        silent = time.monotonic()
        calls = [asyncio.ensure_future(AsyncAccounts(client).deposit("a-1", 1)) for _ in range(100)]

        await asyncio.gather(*calls)

        print(f"first answer {time.monotonic() - silent:.1f} s after the network fell silent, heartbeat 1 s")  # noqa: T201 - a figure
        assert await ledger(sql) == (100, 100)


@pytest.mark.heavy
@pytest.mark.timeout(120)
@pytest.mark.parametrize("silent", ["requests", "answers"])
async def test_a_network_that_is_silent_one_way_is_noticed_with_the_usual_heartbeat(there: Place, sql, silent):
    async with through_a_proxy(there, there.settings.amqp_urls[0]) as (proxy, client):
        proxy.hold(requests=silent == "requests", answers=silent == "answers")
        began = time.monotonic()

        await asyncio.gather(*(AsyncAccounts(client).deposit("a-1", 1) for _ in range(100)))

        print(f"first answer {time.monotonic() - began:.1f} s after the {silent} fell silent, heartbeat 5 s")  # noqa: T201 - a figure
        assert await ledger(sql) == (100, 100)


@pytest.mark.heavy
async def test_of_several_addresses_a_dead_and_a_silent_one_are_passed_over_within_a_calls_time(there: Place):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = f"amqp://guest:guest@127.0.0.1:{unused.getsockname()[1]}/"
        async with proxied(there.settings.amqp_urls[0]) as (proxy, silent):
            proxy.hold()
            urls = [dead, silent, there.settings.amqp_urls[0]]
            async with AsyncClient(client_settings(there.settings, ",".join(urls))) as client:
                assert (await AsyncAccounts(client).get_account("a-1")).balance == 0


async def test_a_confirm_lost_after_the_broker_stored_the_call_makes_two_messages_and_one_effect(there: Place, sql):
    async with through_a_proxy(there) as (proxy, client):
        before = published(proxy)
        proxy.hold(requests=False)
        call = asyncio.ensure_future(AsyncAccounts(client).deposit("a-1", 5))
        async with asyncio.timeout(PATIENCE_S):
            while (await ledger(sql))[1] == 0:
                await asyncio.sleep(0.02)

        proxy.release()
        proxy.cut()

        assert await call == 5
        assert published(proxy) - before == 2
    assert await ledger(sql) == (5, 1)


@pytest.mark.heavy
async def test_a_cut_in_the_middle_of_a_message_costs_nothing_but_another_attempt(there: Place, sql):
    async with through_a_proxy(there) as (proxy, client):
        proxy.cut_after(300)

        results = await asyncio.gather(*(AsyncAccounts(client).deposit("a-1", 1) for _ in range(64)))

    assert sorted(results) == list(range(1, 65))
    assert await ledger(sql) == (64, 64)


async def test_behind_a_peer_that_does_not_read_calls_wait_and_the_socket_does_not_grow(there: Place):
    async with through_a_proxy(there) as (proxy, client):
        proxy.hold(answers=False)
        arguments = {"account_id": "x" * 900_000}
        calls = [client.call_by_name("accounts.get_account", "read", arguments) for _ in range(40)]
        answers = asyncio.gather(*calls, return_exceptions=True)
        transport = client._transport
        await until(lambda: transport._outbox._draining is not None)
        await asyncio.sleep(0.5)
        grown = transport._link.socket._writer.transport.get_write_buffer_size()
        proxy.release()

        assert {type(answer) for answer in await answers} == {InvalidRequest}
    assert grown < BUFFER_BYTES + 1_000_000


async def test_behind_a_peer_that_does_not_read_nothing_is_kept_of_calls_whose_time_is_up(there: Place):
    async with through_a_proxy(there) as (proxy, client):
        proxy.hold(answers=False)
        hurried, outbox = client.with_options(timeout_s=0.5), client._transport._outbox
        calls = [hurried.call_by_name("accounts.get_account", "read", {"account_id": "x" * 900_000}) for _ in range(20)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        kept = len(outbox._messages)
        with pytest.raises(OutcomeUnknown):
            await hurried.call_by_name("accounts.get_account", "read", {"account_id": "a-1"})

        assert {type(answer) for answer in answers} == {OutcomeUnknown}
        assert (kept > 1, len(outbox._messages)) == (True, 1)
        proxy.release()


async def test_what_is_no_frame_ends_one_connection_and_no_call(there: Place, sql):
    async with through_a_proxy(there) as (proxy, client), through_a_proxy(there) as (_, other):
        link = other._transport._link
        neighbour, calls = link.connection, []
        for garbage in GARBAGE:
            calls.append(asyncio.ensure_future(AsyncAccounts(client).deposit("a-1", 1)))
            proxy.say(garbage)
            await client.ping()

        await asyncio.gather(*calls)

        assert link.connection is neighbour
    assert await ledger(sql) == (3, 3)


async def test_a_connection_lost_at_any_step_of_its_set_up_is_made_anew(there: Place):
    async def call_with_a_loss_after(answers: int) -> bool:
        async with proxied(there.settings.amqp_urls[0]) as (proxy, url):
            proxy.lose_answer(after=answers)
            async with AsyncClient(client_settings(there.settings, url, timeout_s=PATIENCE_S)) as client:
                return (await AsyncAccounts(client).get_account("a-1")).account_id == "a-1"

    assert await asyncio.gather(*(call_with_a_loss_after(answers) for answers in range(12))) == [True] * 12


@pytest.mark.heavy
async def test_a_worker_that_loses_its_connections_at_any_step_of_their_set_up_serves_on(there: Place, sql):
    async with proxied(there.settings.amqp_urls[0]) as (proxy, url):
        worker = await there.start(ROWCALL_AMQP_URL=url)
        await there.worker.stop()
        for answers in range(0, 16, 3):
            said = worker.log.read_text().count('"consuming"')
            proxy.lose_answer(after=answers)
            proxy.cut()
            await until_said(worker, '"consuming"', times=said + 1)
            assert await there.accounts.deposit("a-1", 1) == answers // 3 + 1

    assert await ledger(sql) == (6, 6)
