"""Redis dies, stands still, refuses and forgets: no call feels it, and afterwards the record is whole and in order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest
import redis.asyncio as redis
from pydantic import SecretStr
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from accounts import AsyncAccounts
from accounts.services import family as accounts_family
from rpc_client.events import listen, subscribe
from tests.own_servers import OwnServer
from tests.proxy import proxied
from tests.record import ACCOUNTS, assert_exact, complete
from worker.calls import Outcome
from worker.events import BACKLOG, Announcer
from worker.settings import WorkerSettings

CALLS = 60
PAUSE_MS = 3_000
Fault = Callable[[OwnServer, redis.Redis], AbstractAsyncContextManager[None]]


@contextlib.asynccontextmanager
async def killed(server: OwnServer, _: redis.Redis) -> AsyncIterator[None]:
    await server.kill()
    try:
        yield
    finally:
        await server.start()


@contextlib.asynccontextmanager
async def frozen(server: OwnServer, _: redis.Redis) -> AsyncIterator[None]:
    with server.frozen():
        yield


@contextlib.asynccontextmanager
async def slow(_: OwnServer, client: redis.Redis) -> AsyncIterator[None]:
    """It answers nobody for a while: longer than a worker waits for it."""
    await client.execute_command("CLIENT", "PAUSE", PAUSE_MS, "ALL")
    yield


@contextlib.asynccontextmanager
async def configured(client: redis.Redis, name: str, value: str) -> AsyncIterator[None]:
    """It has this setting for a while, of which 0 means none."""
    await client.config_set(name, value)
    try:
        yield
    finally:
        await client.config_set(name, "0")


def full(_: OwnServer, client: redis.Redis) -> contextlib.AbstractAsyncContextManager[None]:
    return configured(client, "maxmemory", "1mb")


def without_replicas(_: OwnServer, client: redis.Redis) -> contextlib.AbstractAsyncContextManager[None]:
    return configured(client, "min-replicas-to-write", "1")


@contextlib.asynccontextmanager
async def demoted(_: OwnServer, client: redis.Redis) -> AsyncIterator[None]:
    """It is the replica of one that is not there."""
    await client.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        await client.replicaof("NO", "ONE")


@contextlib.asynccontextmanager
async def flushed(_: OwnServer, client: redis.Redis) -> AsyncIterator[None]:
    await client.flushall()
    yield


FAULTS: list[Fault] = [killed, frozen, slow, full, without_replicas, demoted, flushed]


@dataclass
class Place:
    """A worker whose Redis is one of ours."""

    settings: WorkerSettings
    accounts: AsyncAccounts
    redis: redis.Redis

    async def work(self, calls: int, seed: int) -> int:
        """Deposit so often; how many of them were answered with a balance."""
        rng = random.Random(seed)
        chosen = [rng.choice(ACCOUNTS) for _ in range(calls)]
        balances = await asyncio.gather(*(self.accounts.deposit(account, rng.randint(1, 9)) for account in chosen))
        return len(balances)


@pytest.fixture
async def place(own_redis: OwnServer, settings: WorkerSettings, start_worker, client) -> AsyncIterator[Place]:
    own = settings.model_copy(update={"redis_url": SecretStr(own_redis.url)})
    await start_worker(ROWCALL_REDIS_URL=own_redis.url)
    accounts = AsyncAccounts(client)
    for account in ACCOUNTS:
        await accounts.open_account(account, "me")
    async with redis.from_url(own_redis.url, retry=Retry(NoBackoff(), 0), socket_timeout=60) as connection:
        yield Place(own, accounts, connection)


@pytest.mark.timeout(180)
async def test_redis_flushall_rebuild_and_six_other_ways_to_lose_redis_fail_no_call(place: Place, own_redis, sql):
    await complete(place.settings, sql)
    for seed, fault in enumerate(FAULTS):
        print(f"{fault.__name__}, seed {seed}")  # noqa: T201 - to be read where it fails
        async with fault(own_redis, place.redis):
            assert await place.work(CALLS, seed) == CALLS
        await complete(place.settings, sql, timeout_s=60)

        assert await assert_exact(place.settings, sql) == len(ACCOUNTS) + CALLS * (seed + 1)


async def test_a_subscriber_that_waits_while_its_redis_is_demoted_reads_on(place: Place, own_redis, sql):
    await complete(place.settings, sql)
    async with subscribe("accounts/*", place.settings) as events:
        reading = asyncio.ensure_future(anext(events))
        async with asyncio.timeout(30):
            while not (await place.redis.info("clients"))["blocked_clients"]:
                await asyncio.sleep(0.02)
        async with demoted(own_redis, place.redis):
            await asyncio.sleep(0.2)  # it is told at once that it waits in vain
        await place.work(1, seed=1)

        assert (await asyncio.wait_for(reading, 30)).type == "Deposited"


async def test_a_listener_whose_subscription_is_not_confirmed_is_told_so(settings: WorkerSettings, monkeypatch):
    monkeypatch.setattr("rpc_client.events.CONFIRM_S", 0.2)
    async with proxied(settings.redis_url.get_secret_value()) as (proxy, url):
        proxy.swallow(b"PSUBSCRIBE")

        with pytest.raises(redis.TimeoutError, match="has not confirmed the subscription"):
            async with listen(settings=settings.model_copy(update={"redis_url": SecretStr(url)})):
                pass


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [killed, frozen], ids=lambda fault: fault.__name__)
async def test_redis_away_for_a_minute_under_load_fails_no_call(place: Place, own_redis, sql, fault: Fault):
    answered, rounds = 0, 0
    async with fault(own_redis, place.redis):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            answered += await place.work(CALLS, rounds)
            rounds += 1
    began = time.monotonic()
    await complete(place.settings, sql, timeout_s=120)
    print(f"{answered} calls were answered meanwhile; the record was whole {time.monotonic() - began:.1f} s later")  # noqa: T201

    assert answered == rounds * CALLS
    assert await assert_exact(place.settings, sql) == len(ACCOUNTS) + answered


async def test_what_cannot_be_announced_to_a_redis_that_stands_still_is_bounded(settings, served):
    """A live announcement is dropped beyond the backlog, never waited for; and the worker's end is not held up."""
    call = SimpleNamespace(answer=served.answers["accounts.deposit"], id=str(uuid4()))
    event = '[{"type": "Deposited", "aggregate": "account", "aggregate_id": "a-1", "data": {}}]'
    outcome = Outcome('"result":5}', event, 1, datetime.now(UTC))
    async with proxied(settings.redis_url.get_secret_value()) as (proxy, url):
        proxy.hold()
        through = settings.model_copy(update={"redis_url": SecretStr(url)})
        async with asyncio.timeout(30):
            async with Announcer(through, {"accounts": accounts_family}) as announcer:
                for _ in range(2 * BACKLOG):
                    announcer.announce(call, outcome)
                waiting, dropped = announcer._waiting.qsize(), announcer._dropped

    assert (waiting, dropped) == (BACKLOG, BACKLOG)
