"""How many messages calls are: counted on the wire, in the client's own AMQP frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings
from tests.proxy import Proxy, proxied

OPEN_CHANNEL, PUBLISH, DELIVER = (20, 10), (60, 40), (60, 60)


def methods(data: bytes) -> list[tuple[int, int]]:
    """The AMQP methods in a stream of frames: type 1, channel, size, then class and method number."""
    found, place = [], data.index(b"AMQP") + 8 if data.startswith(b"AMQP") else 0
    while place + 7 <= len(data):
        kind, size = data[place], int.from_bytes(data[place + 3 : place + 7])
        if kind == 1:
            payload = data[place + 7 : place + 11]
            found.append((int.from_bytes(payload[:2]), int.from_bytes(payload[2:4])))
        place += 7 + size + 1
    return found


@pytest.fixture
async def watched(worker, settings) -> AsyncIterator[tuple[AsyncAccounts, Proxy]]:
    """Accounts over a connection whose bytes are kept."""
    async with proxied(settings.amqp_urls[0]) as (proxy, url):
        through = ClientSettings(amqp_url=SecretStr(url), prefix=settings.prefix)
        async with AsyncClient(through) as client:
            accounts = AsyncAccounts(client)
            await accounts.open_account("a-1", "me")
            proxy.sent.clear()
            proxy.received.clear()
            yield accounts, proxy


async def test_a_lone_call_is_one_request_and_one_reply(watched):
    accounts, proxy = watched

    await accounts.deposit("a-1", 1)

    assert methods(bytes(proxy.sent)).count(PUBLISH) == 1
    assert methods(bytes(proxy.received)).count(DELIVER) == 1


async def test_sixty_four_calls_of_one_tick_are_one_message_each_way(watched):
    accounts, proxy = watched

    await asyncio.gather(*(accounts.get_account("a-1") for _ in range(64)))

    assert methods(bytes(proxy.sent)).count(PUBLISH) == 1
    assert methods(bytes(proxy.received)).count(DELIVER) == 1


async def test_calls_of_two_methods_are_two_messages(watched):
    accounts, proxy = watched

    await asyncio.gather(accounts.get_account("a-1"), accounts.deposit("a-1", 1), accounts.get_account("a-1"))

    assert methods(bytes(proxy.sent)).count(PUBLISH) == 2


async def test_the_sixty_fifth_call_of_a_tick_begins_another_message(watched):
    accounts, proxy = watched

    await asyncio.gather(*(accounts.deposit("a-1", 1) for _ in range(65)))

    assert methods(bytes(proxy.sent)).count(PUBLISH) == 2
