"""While PostgreSQL is away, workers let calls lie in their queues, say so, and go on when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import aio_pika
import aiohttp
import pytest

from accounts import AsyncAccounts
from accounts.contract import Accounts
from rpc_client import AsyncClient
from rpc_client.wire import Names
from tests.conftest import connected
from tests.own_servers import OwnServer
from tests.processes import WorkerProcess
from tests.proxy import proxied
from worker.settings import WorkerSettings
from worker.testing import scratch_database

DEADLINE_S = 50
WAIT_S = 20
PAUSES, IDLE, GOES_ON = '"consuming pauses: ', '"not consuming"', '"consuming again: '


@pytest.fixture
async def own_url(own_postgresql: OwnServer) -> AsyncIterator[str]:
    """A database on a server that may be stopped; in the end it runs."""
    async with scratch_database(own_postgresql.url) as url:
        try:
            yield url
        finally:
            await own_postgresql.start()


@pytest.fixture
def patient(client: AsyncClient) -> AsyncClient:
    return client.with_options(timeout_s=DEADLINE_S)


def on(settings: WorkerSettings, url: str) -> dict[str, str]:
    """A worker's environment: this database, and a port to ask it on."""
    return {"ROWCALL_POSTGRES_URL": url, "ROWCALL_HTTP_PORT": "0"}


async def says(worker: WorkerProcess, line: str, times: int = 1) -> None:
    async with asyncio.timeout(WAIT_S):
        while worker.log.read_text().count(line) < times:
            await asyncio.sleep(0.02)


async def readiness(worker: WorkerProcess) -> tuple[int, dict[str, object]]:
    await says(worker, '"health"')
    lines = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    (address,) = next(line["address"] for line in lines if line.get("event") == "health")
    async with aiohttp.ClientSession() as session, session.get(f"{address}/ready") as response:
        return response.status, await response.json()


async def until(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    seen: object = None
    try:
        async with asyncio.timeout(WAIT_S):
            while (seen := await look()) != wanted:
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"{seen!r} did not become {wanted!r}") from None


async def is_connected(worker: WorkerProcess) -> bool:
    return (await readiness(worker))[1]["requests"] != "not connected to RabbitMQ"


class Lanes:
    """What lies in the queues and who consumes them."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, settings: WorkerSettings) -> None:
        self._channel = channel
        self._names = Names(settings.prefix)

    async def _seen(self, lane: str, what: int) -> int:
        """Messages that wait, or consumers."""
        result = (await self._channel.declare_queue(self._names.queue(lane), passive=True)).declaration_result
        return (result.message_count, result.consumer_count)[what] or 0

    async def waiting(self, messages: int) -> None:
        """Until so many writes lie in their queue."""
        await until(lambda: self._seen("write", 0), messages)

    async def consumed_by(self, workers: int) -> None:
        """Until so many consume reads. The other queue counts those that still have messages, too."""
        await until(lambda: self._seen("read", 1), workers)


@pytest.fixture
async def lanes(settings: WorkerSettings) -> AsyncIterator[Lanes]:
    connection = await aio_pika.connect(settings.amqp_urls[0])
    async with connection:
        yield Lanes(await connection.channel(), settings)


def lone_deposits(client: AsyncClient, account: str, number: int) -> list[asyncio.Task[object]]:
    """Deposits that travel each in a message of its own."""
    arguments = {"account_id": account, "amount": 1}
    return [asyncio.create_task(client.call_by_name("accounts.deposit", "write", arguments)) for _ in range(number)]


def deposits_together(client: AsyncClient, account: str, number: int) -> list[asyncio.Task[int]]:
    """Deposits that travel in one message: a worker has all of them in hand or none."""
    return [asyncio.create_task(client.call(Accounts.deposit, (account, 1), {})) for _ in range(number)]


async def test_calls_wait_in_the_queue_while_postgresql_restarts_and_none_fails(
    own_postgresql, own_url, settings, start_worker, patient, lanes
):
    worker = await start_worker(**on(settings, own_url))
    await AsyncAccounts(patient).open_account("a", "Ada")
    good = await readiness(worker)

    await own_postgresql.stop()
    in_hand = deposits_together(patient, "a", 5)
    await says(worker, IDLE)
    waiting = lone_deposits(patient, "a", 20)
    await lanes.waiting(20)
    status, said = await readiness(worker)
    await own_postgresql.start()
    answers = await asyncio.gather(*in_hand, *waiting)
    await says(worker, GOES_ON)
    await lanes.consumed_by(1)
    again = await readiness(worker)

    assert (good[0], status, again[0]) == (200, 503, 200)
    assert str(said["requests"]).startswith("paused: PostgreSQL is away since 20")
    assert sorted(answers) == list(range(1, 26))
    assert [worker.log.read_text().count(line) for line in (PAUSES, GOES_ON)] == [1, 1]


@pytest.mark.heavy
async def test_a_worker_without_its_database_leaves_the_calls_to_another_through_a_lost_connection_and_its_end(
    settings, start_worker, patient, lanes, postgres_url
):
    async with proxied(postgres_url) as (database, url), proxied(settings.amqp_urls[0]) as (broker, amqp_url):
        cut_off = await start_worker(**on(settings, url), ROWCALL_AMQP_URL=amqp_url, ROWCALL_DRAIN_S="1")
        await AsyncAccounts(patient).open_account("a", "Ada")
        database.refuse()
        (stuck,) = lone_deposits(patient, "a", 1)
        await says(cut_off, IDLE)

        await start_worker()
        others = await asyncio.gather(*lone_deposits(patient, "a", 30))
        alone = not stuck.done()
        broker.cut()
        took_over = await stuck  # its message went back with the connection
        await says(cut_off, "connection lost; reconnecting", 2)
        await until(lambda: is_connected(cut_off), wanted=True)
        paused = str((await readiness(cut_off))[1]["requests"])
        await lanes.consumed_by(1)
        cut_off.process.terminate()
        code = await asyncio.wait_for(cut_off.process.wait(), 30)

    assert (sorted(others), alone, took_over) == (list(range(1, 31)), True, 31)
    assert paused.startswith("paused: PostgreSQL is away")
    assert code == 1  # what it had in hand was cut short


@contextlib.asynccontextmanager
async def read_only(url: str) -> AsyncIterator[None]:
    """While the block runs, the server takes no writes."""
    async with connected(url) as admin:
        await admin.execute("alter system set default_transaction_read_only = on")
        await admin.execute("select pg_reload_conf()")
        try:
            yield
        finally:
            await admin.execute("set default_transaction_read_only = off")
            await admin.execute("alter system reset default_transaction_read_only")
            await admin.execute("select pg_reload_conf()")


@pytest.mark.heavy
async def test_a_server_that_takes_no_writes_is_away_though_it_answers_reads(
    own_url, settings, start_worker, patient, lanes
):
    worker = await start_worker(**on(settings, own_url))
    accounts = AsyncAccounts(patient)
    await accounts.open_account("a", "Ada")

    async with read_only(own_url):
        await becomes_read_only(own_url)
        deposits = deposits_together(patient, "a", 3)
        reading = asyncio.create_task(reads(accounts))
        await says(worker, IDLE)
        reading.cancel()
        status, said = await readiness(worker)
    balances = await asyncio.gather(*deposits)

    assert (status, "read" in str(said["requests"])) == (503, True)
    assert sorted(balances) == [1, 2, 3]


async def becomes_read_only(url: str) -> None:
    """A reload reaches sessions one by one."""
    async with connected(url) as probe, asyncio.timeout(WAIT_S):
        while await probe.fetchval("show default_transaction_read_only") != "on":
            await asyncio.sleep(0.02)


async def reads(accounts: AsyncAccounts) -> None:
    while True:
        await accounts.get_account("a")
