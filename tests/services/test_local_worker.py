"""A worker in the test's own process does what a worker does, and a stub says of a call what it says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from accounts import AsyncAccounts, Deposited
from accounts.contract import Accounts
from accounts.services import family as accounts_family
from rpc_client import Disconnected, InvalidRequest, NotFoundError, RPCError
from rpc_client.contract import AsyncService, EventData, Service, Timestamp, read, write
from rpc_client.testing import StubClient
from rpc_client.wire import read_reply
from tests.conftest import FAMILIES
from worker.registry import Family, Registry, RegistryError
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker, scratch_database


async def test_an_empty_database_is_migrated_and_served(servers):
    async with scratch_database(servers.postgres_url) as url, local_worker(url, [accounts_family]) as worker:
        accounts = AsyncAccounts(worker.client)
        await accounts.open_account("a-1", "Ada")

        assert await accounts.deposit("a-1", 500) == 500


async def test_what_left_the_worker_is_kept(local: LocalWorker):
    accounts = AsyncAccounts(local.client)

    await accounts.open_account("a-1", "Ada")
    await accounts.deposit("a-1", 500)
    with pytest.raises(NotFoundError):
        await accounts.deposit("b-1", 500)

    assert [(event.type, event.aggregate_id) for event in local.events] == [
        ("AccountOpened", "a-1"),
        ("Deposited", "a-1"),
    ]
    assert local.events[1].data["balance"] == 500
    assert [channel.split("/", 1)[1] for channel, _ in local.messages] == ["accounts/account/a-1"] * 2
    assert [read_reply(reply).result is None for reply in local.replies] == [False, False, True]
    assert local.dead_letters == []


class Landed(EventData, aggregate="moon"):
    """Somebody is there."""

    crew: int
    at: Timestamp


class Moon(Service, name="moon"):
    @write(emits=[Landed])
    async def land(self, event: dict[str, Any]) -> None: ...


class AsyncMoon(Moon, AsyncService): ...


LAND = """-- name: land
-- Tells whatever it is given: 'type', 'Landed', 'aggregate', 'moon'
with reply as (select null as result, null::jsonb as error, jsonb_build_array(:event::jsonb) as events)

select * from reply;
"""
LANDED = {"type": "Landed", "aggregate": "moon", "aggregate_id": "m-1", "data": {"crew": 2, "at": "1969-07-20T20:17Z"}}


@pytest.fixture
async def moon(settings: WorkerSettings, postgres_url: str, tmp_path: Path) -> AsyncIterator[LocalWorker]:
    (tmp_path / "moon.sql").write_text(LAND)
    registry = Registry(Moon)
    registry.direct(Moon.land)
    async with local_worker(postgres_url, [Family(registry, sql=tmp_path)], settings=settings) as worker:
        yield worker


async def test_an_event_is_read_as_what_its_contract_declares(moon: LocalWorker):
    await AsyncMoon(moon.client).land(LANDED)

    (event,) = moon.events

    assert event.read(Landed) == Landed(crew=2, at=datetime(1969, 7, 20, 20, 17, tzinfo=UTC))
    with pytest.raises(TypeError, match="of moon is Landed of 'moon', not Deposited of 'account'"):
        event.read(Deposited)


async def test_an_event_that_is_not_what_its_contract_declares_fails_the_test(moon: LocalWorker):
    data = LANDED["data"]
    unlike = [
        ({"type": "Crashed"}, r"Crashed of moon: its contract declares \['Landed of moon'\]"),
        ({"aggregate": "sea"}, r"Landed of sea: its contract declares"),
        ({"data": {**data, "flag": "ours"}}, r"it says \['at', 'crew', 'flag'\], its contract \['at', 'crew'\]"),
        ({"data": {"crew": 2}}, r"it says \['crew'\]"),
        ({"data": {**data, "crew": "2"}}, "Input should be a valid integer"),
        ({"data": {**data, "crew": None}}, "Input should be a valid integer"),
        ({"data": {**data, "at": "1969-07-20T20:17"}}, "should have timezone"),
    ]

    for change, complaint in unlike:
        with pytest.raises(AssertionError, match=complaint):
            await AsyncMoon(moon.client).land({**LANDED, **change})

    assert moon.events == []


async def test_a_repeat_is_answered_from_its_receipt(local: LocalWorker):
    await AsyncAccounts(local.client).open_account("a-1", "Ada")
    again = AsyncAccounts(local.client.with_options(request_id=uuid4()))

    assert [await again.deposit("a-1", 500) for _ in range(3)] == [500] * 3
    assert len(local.events) == 2


async def test_calls_that_are_made_together_meet_in_the_database(local: LocalWorker):
    accounts = AsyncAccounts(local.client)
    await accounts.open_account("a-1", "Ada")

    balances = await asyncio.gather(*(accounts.deposit("a-1", 1) for _ in range(50)))

    assert sorted(balances) == list(range(1, 51))


async def test_a_worker_that_has_ended_answers_nobody(settings: WorkerSettings, postgres_url: str):
    async with local_worker(postgres_url, FAMILIES, settings=settings) as worker:
        kept = worker.client.with_options(timeout_s=5)

    with pytest.raises(Disconnected):
        await AsyncAccounts(kept).get_account("a-1")


async def test_what_keeps_a_worker_from_starting_keeps_this_one_too(postgres_url: str, tmp_path):
    class Promises(Service, name="promises"):
        @read
        async def unanswered(self) -> int:
            """Nobody answers it."""

    with pytest.raises(RegistryError, match="nobody answers"):
        async with local_worker(postgres_url, [Family(Registry(Promises), sql=tmp_path)]):
            pass


async def test_a_scratch_database_is_gone_when_its_block_is_left_even_by_an_error(servers, migrated: str):
    with contextlib.suppress(ZeroDivisionError):
        async with scratch_database(servers.postgres_url, copy_of=migrated) as url:
            connection = await asyncpg.connect(url)
            assert await connection.fetchval("select count(*) from rowcall.receipts") == 0
            raise ZeroDivisionError

    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(url)
    connection.terminate()


def told(error: RPCError) -> tuple[object, ...]:
    assert isinstance(error, InvalidRequest)
    return str(error), error.details, error.method


@pytest.mark.parametrize(
    "arguments",
    [("a-1", 0), ("a-1", "5"), ("a-1", 1.5), ("", 5), (5, 5), ("a-1", 5, None), ("a-\0", 5), ("a-1", 10**30)],
)
async def test_a_stub_refuses_arguments_in_the_words_of_a_worker(local: LocalWorker, arguments: tuple):
    stub = StubClient()
    stub[Accounts.deposit].answers(5)

    with pytest.raises(InvalidRequest) as real:
        await AsyncAccounts(local.client).deposit(*arguments)
    with pytest.raises(InvalidRequest) as stubbed:
        await AsyncAccounts(stub).deposit(*arguments)

    assert told(stubbed.value) == told(real.value)
