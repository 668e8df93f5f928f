"""The sync client, with real threads, a real broker and a real worker process."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from pydantic import SecretStr

from accounts import AsyncAccounts, SyncAccounts
from rpc_client import (
    AsyncClient,
    Client,
    ClientSettings,
    DatabaseManagerClient,
    Disconnected,
    InsideEventLoop,
    InsufficientCredits,
    OutcomeUnknown,
)
from rpc_client.background import Background
from tests.acceptance.test_messages import PUBLISH, methods
from tests.proxy import Proxy, proxied

R = TypeVar("R")
THREADS = 64
Beside = Callable[[Callable[[], R]], "asyncio.Future[R]"]


@pytest.fixture
def client_settings(settings) -> ClientSettings:
    return ClientSettings.model_validate(settings.model_dump())


@pytest.fixture
def sync_client(client_settings) -> Iterator[Client]:
    """Closed beside the tests' loop, as everything sync is done there."""
    client = Client(client_settings)
    yield client
    closing = threading.Thread(target=client.close)
    closing.start()
    closing.join()


async def in_threads(number: int, work: Callable[[], R]) -> list[R]:
    """The same in so many threads, which begin in one moment."""
    together = threading.Barrier(number)

    def begin(_: int) -> R:
        together.wait(10)
        return work()

    with ThreadPoolExecutor(number) as pool:
        return await asyncio.to_thread(lambda: list(pool.map(begin, range(number))))


def forget(clients: list[Client | AsyncClient]) -> None:
    clients.clear()
    gc.collect()


async def test_calls_come_back_typed_and_errors_say_which_call_they_are_of(worker, sync_client):
    def story() -> None:
        accounts = SyncAccounts(sync_client)
        assert accounts.open_account("a-1", "me").balance == 0
        assert [accounts.deposit("a-1", 500), accounts.withdraw("a-1", amount=100)] == [500, 400]
        assert [entry.amount for entry in accounts.list_entries("a-1")] == [-100, 500]
        with pytest.raises(InsufficientCredits) as caught:
            accounts.withdraw("a-1", 401)
        assert (caught.value.details, caught.value.method) == ({"balance": 400, "cost": 401}, "accounts.withdraw")
        assert caught.value.request_id

    await asyncio.to_thread(story)


async def test_the_documents_client_has_the_familys_methods_itself_also_those_made_of_others(worker, client_settings):
    def story() -> None:
        with DatabaseManagerClient(client_settings) as manager:
            assert manager.get_credits("nobody") == 0
            assert manager.with_options(timeout_s=5).get_node_executions("nothing") == []

    await asyncio.to_thread(story)


@pytest.fixture
async def watched(worker, client_settings) -> AsyncIterator[tuple[Client, Proxy]]:
    """A client over a connection whose bytes are kept."""
    async with proxied(client_settings.amqp_urls[0]) as (proxy, url):
        client = Client(client_settings.model_copy(update={"amqp_url": SecretStr(url)}))
        await asyncio.to_thread(SyncAccounts(client).open_account, "a-1", "me")
        proxy.sent.clear()
        yield client, proxy
        await asyncio.to_thread(client.close)


async def test_what_sixty_four_threads_ask_in_one_moment_is_one_message(watched):
    client, proxy = watched
    background = Background.current()

    def stand_still() -> None:
        """So that one moment lasts until all have asked, however slowly this machine begins threads."""
        until = time.monotonic() + 10
        while len(background._jobs) < THREADS and time.monotonic() < until:
            time.sleep(0.001)

    background._loop.call_soon_threadsafe(stand_still)
    found = await in_threads(THREADS, lambda: SyncAccounts(client).get_account("a-1"))

    assert len(found) == THREADS
    assert methods(bytes(proxy.sent)).count(PUBLISH) == 1


async def test_what_one_thread_runs_at_once_is_one_message(watched):
    client, proxy = watched

    async def many(client: AsyncClient) -> list[int]:
        accounts = AsyncAccounts(client)
        return await asyncio.gather(*(accounts.deposit("a-1", 1) for _ in range(THREADS)))

    balances = await asyncio.to_thread(client.run, many)

    assert sorted(balances) == list(range(1, THREADS + 1))
    assert methods(bytes(proxy.sent)).count(PUBLISH) == 1


async def test_threads_that_share_a_client_get_each_its_own_answers(worker, sync_client, sql):
    accounts = SyncAccounts(sync_client)
    await asyncio.to_thread(accounts.open_account, "a-1", "me")

    balances = await in_threads(16, lambda: [accounts.deposit("a-1", 1) for _ in range(25)])

    assert sorted(itertools.chain(*balances)) == list(range(1, 401))
    assert await sql.fetchval("select balance from accounts.accounts") == 400


async def test_all_clients_of_a_process_share_one_thread(worker, client_settings):
    def story() -> None:
        with Client(client_settings) as one, Client(client_settings) as other:
            assert one.ping() > 0
            assert other.ping() > 0
            assert [thread.name for thread in threading.enumerate()].count("rowcall clients") == 1

    await asyncio.to_thread(story)


async def test_inside_a_running_loop_a_call_is_refused_and_does_not_run(worker, sync_client, sql):
    accounts = SyncAccounts(sync_client)
    await asyncio.to_thread(accounts.open_account, "a-1", "me")

    with pytest.raises(InsideEventLoop, match="use AsyncClient") as caught:
        accounts.deposit("a-1", 5)

    assert caught.value.method == "accounts.deposit"
    assert caught.value.request_id
    assert await asyncio.to_thread(accounts.deposit, "a-1", 1) == 1


async def test_a_time_out_says_after_how_long_and_that_nobody_consumes(start_worker, sync_client):
    await (await start_worker()).stop()
    accounts = SyncAccounts(sync_client.with_options(timeout_s=0.5))

    with pytest.raises(OutcomeUnknown, match=r"accounts.deposit in 0\.5 s: 0 workers consume .*write; start one"):
        await asyncio.to_thread(accounts.deposit, "a-1", 5)


async def test_closing_wakes_whoever_waits_and_ends_the_client(start_worker, sync_client):
    await (await start_worker()).stop()
    accounts = SyncAccounts(sync_client)
    waiting = asyncio.ensure_future(asyncio.to_thread(accounts.deposit, "a-1", 5))
    while not sync_client._shared._opened:
        await asyncio.sleep(0.01)

    await asyncio.to_thread(sync_client.close)

    with pytest.raises(OutcomeUnknown, match=r"closed while accounts\.deposit waited") as caught:
        await waiting
    assert caught.value.request_id
    with pytest.raises(Disconnected, match="this client is closed"):
        await asyncio.to_thread(accounts.deposit, "a-1", 5)


async def test_a_client_that_nobody_closed_is_warned_about_and_closed(worker, client_settings):
    clients = [Client(client_settings)]
    await asyncio.to_thread(clients[0].ping)
    inner = clients[0]._shared._opened[1]

    with pytest.warns(ResourceWarning, match="a Client was never closed"):
        forget(clients)

    async with asyncio.timeout(10):
        while inner._lease.transport.is_open:
            await asyncio.sleep(0.01)


async def test_a_client_that_was_never_used_needs_no_closing(client_settings, recwarn):
    Client(client_settings)
    AsyncClient(client_settings)
    gc.collect()

    assert not recwarn.list
