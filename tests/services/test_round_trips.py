"""What one call costs the database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from accounts import AsyncAccounts
from accounts.services import family as accounts_family
from tests.proxy import Proxy, proxied
from worker.settings import WorkerSettings
from worker.testing import local_worker


@pytest.fixture
async def counted(
    settings: WorkerSettings,
) -> AsyncIterator[tuple[AsyncAccounts, Proxy]]:
    """Accounts whose pipeline reaches its database through a proxy that counts; one connection, all prepared."""
    async with proxied(settings.postgres_url.get_secret_value()) as (proxy, url):
        one_connection = settings.model_copy(update={"pool_size": 1})
        async with local_worker(url, [accounts_family], settings=one_connection) as worker:
            accounts = AsyncAccounts(worker.client)
            for account in ("a-1", "b-1"):
                await accounts.open_account(account, "me")
                await accounts.deposit(account, 500)
            await accounts.get_account("a-1")
            await accounts.list_entries("a-1")
            proxy.round_trips = 0
            yield accounts, proxy


async def test_a_direct_read_is_one_round_trip(counted):
    accounts, proxy = counted

    await accounts.get_account("a-1")
    await accounts.list_entries("a-1")

    assert proxy.round_trips == 2


async def test_a_one_statement_write_with_its_receipt_is_one_round_trip(counted):
    accounts, proxy = counted

    await accounts.deposit("a-1", 5)

    assert proxy.round_trips == 1


async def test_ten_calls_are_ten_round_trips_and_nothing_resets_the_connection_between(counted):
    accounts, proxy = counted

    for _ in range(10):
        await accounts.deposit("a-1", 5)

    assert proxy.round_trips == 10
