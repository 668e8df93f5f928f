"""A network that is slow and loses packets, names that resolve late or to somewhere else: calls come out the same."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings
from tests.proxy import Proxy, proxied

CALLS, SENT_AGAIN_S = 60, 0.2
NAME = "broker.example"


@pytest.mark.parametrize(
    ("way_s", "lost", "seed"), [(0.005, 0.01, 78), pytest.param(0.05, 0.05, 79, marks=pytest.mark.heavy)]
)
@pytest.mark.timeout(180)
async def test_a_slow_network_that_loses_packets_changes_no_answer(settings, start_worker, sql, way_s, lost, seed):
    """Of every stretch of bytes some are lost on the way, and come as TCP sends them again."""
    rng = random.Random(seed)

    def delay_s() -> float:
        return way_s + (SENT_AGAIN_S if rng.random() < lost else 0)

    async with contextlib.AsyncExitStack() as stack:
        proxies, urls = [], []
        for url in (settings.amqp_urls[0], settings.amqp_urls[0], settings.postgres_url.get_secret_value()):
            proxy, through = await stack.enter_async_context(proxied(url))
            proxies.append(proxy)
            urls.append(through)
        near = settings.model_copy(update={"amqp_url": SecretStr(urls[0])})
        await start_worker(ROWCALL_AMQP_URL=urls[1], ROWCALL_POSTGRES_URL=urls[2])
        for proxy in proxies:  # from now on: at its start a worker prepares every statement, one after the other
            proxy.delay_s = delay_s
        async with AsyncClient(ClientSettings.model_validate(near.model_dump()), timeout_s=60) as client:
            accounts = AsyncAccounts(client)
            await accounts.open_account("a-1", "me")
            together = await asyncio.gather(*(accounts.deposit("a-1", 1) for _ in range(CALLS)))
            alone = [await accounts.deposit("a-1", 1) for _ in range(5)]

    assert sorted(together) == list(range(1, CALLS + 1))
    assert alone == list(range(CALLS + 1, CALLS + 6))
    assert await sql.fetchval("select count(*) from accounts.entries") == CALLS + 5


async def test_a_name_that_resolves_later_and_then_to_another_address_is_asked_anew(settings, worker, monkeypatch):
    """The resolver is asked for every connection, so a broker may come late, and move."""
    real, address, asked = socket.getaddrinfo, [None], []

    def resolve(host, *arguments, **named):
        if host != NAME:
            return real(host, *arguments, **named)
        asked.append(address[0])
        if address[0] is None:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer from the resolver")
        return real(address[0], *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    parts = urlsplit(settings.amqp_urls[0])
    first, second = (Proxy(parts.hostname or "127.0.0.1", parts.port or 5672) for _ in range(2))
    async with await asyncio.start_server(first.serve, "127.0.0.1", 0) as one:
        port = one.sockets[0].getsockname()[1]
        async with await asyncio.start_server(second.serve, "127.0.0.2", port):
            user = parts.netloc.rpartition("@")[0]
            url = parts._replace(netloc=f"{user}@{NAME}:{port}" if user else f"{NAME}:{port}").geturl()
            named = settings.model_copy(update={"amqp_url": SecretStr(url)})
            async with AsyncClient(ClientSettings.model_validate(named.model_dump()), timeout_s=30) as client:
                accounts = AsyncAccounts(client)
                opening = asyncio.ensure_future(accounts.open_account("a-1", "me"))
                while asked.count(None) < 2:
                    await asyncio.sleep(0.02)
                address[0] = "127.0.0.1"
                await opening
                address[0] = "127.0.0.2"
                first.refuse()

                assert await accounts.deposit("a-1", 5) == 5
            second.cut()

    assert (first.round_trips > 0, second.round_trips > 0) == (True, True)
