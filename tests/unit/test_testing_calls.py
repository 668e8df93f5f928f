"""A stub keeps the calls a worker would have run, whichever view they came through."""

from __future__ import annotations

import math
from typing import Any

import pytest

from accounts import AsyncAccounts, SyncAccounts
from accounts.contract import Accounts
from rpc_client import Client, Disconnected, InsideEventLoop, InvalidRequest
from rpc_client.contract import Service, composed, read
from rpc_client.contract.platform import UsageTransactionMetadata
from rpc_client.testing import StubClient, StubPlatform, StubService


@pytest.fixture
def stub() -> StubClient:
    return StubClient()


@pytest.fixture
def accounts(stub: StubClient) -> AsyncAccounts:
    return AsyncAccounts(stub)


async def test_calls_are_kept_with_all_arguments_by_name_as_the_contracts_types(stub: StubClient):
    stub.platform.spend_credits.answers(380)
    stub.platform.get_credits.answers(500)
    await stub.platform.get_credits("user-1")

    await stub.platform.spend_credits("user-1", cost=120, metadata=UsageTransactionMetadata(block_id="b"))

    (spent,) = stub.platform.spend_credits.calls
    assert spent.arguments == {
        "user_id": "user-1",
        "cost": 120,
        "metadata": UsageTransactionMetadata(block_id="b", context={}),
    }
    assert [call.method for call in stub.calls] == ["platform.get_credits", "platform.spend_credits"]


async def test_defaults_are_filled_in(stub, accounts):
    stub[Accounts.deposit].answers(5)

    await accounts.deposit("a-1", 5)

    assert stub[Accounts.deposit].calls[0].arguments == {"account_id": "a-1", "amount": 5, "note": ""}


async def test_the_id_of_a_call_is_kept(stub, accounts):
    stub[Accounts.deposit].answers(5)
    under_a_key = AsyncAccounts(stub.with_options(idempotency_key="rent of May"))

    await under_a_key.deposit("a-1", 5)
    await under_a_key.deposit("a-1", 5)
    await accounts.deposit("a-1", 5)

    first, again, other = (call.request_id for call in stub[Accounts.deposit].calls)
    assert first == again != other


@pytest.mark.parametrize(
    ("amount", "reason"),
    [(0, "invalid_argument"), ("5", "invalid_argument"), (None, "invalid_argument"), (1.5, "invalid_argument")],
)
async def test_arguments_that_do_not_fit_are_answered_as_by_a_worker_and_no_call(stub, accounts, amount: Any, reason):
    stub[Accounts.deposit].answers(5)

    with pytest.raises(InvalidRequest, match="argument 'amount'") as caught:
        await accounts.deposit("a-1", amount)

    assert (caught.value.details["reason"], caught.value.details["argument"]) == (reason, "amount")
    assert stub.calls == []


async def test_arguments_that_cannot_travel_are_refused_as_by_the_client_and_the_wire(stub, accounts):
    stub[Accounts.deposit].answers(5)

    with pytest.raises(TypeError, match="notes"):
        await accounts.deposit("a-1", 5, notes="rent")
    with pytest.raises(InvalidRequest, match="U\\+0000"):
        await accounts.deposit("a-\0", 5)
    with pytest.raises(InvalidRequest):
        await accounts.deposit("a-1", math.nan)


def test_a_sync_program_is_answered_without_any_event_loop(stub: StubClient):
    client: Client = stub.sync
    stub[Accounts.deposit].answers(505)
    stub.platform.get_credits.answers(500)

    assert SyncAccounts(client.with_options(idempotency_key="rent")).deposit("a-1", 5) == 505
    assert client.platform.get_credits("user-1") == 500
    assert [call.method for call in stub.calls] == ["accounts.deposit", "platform.get_credits"]


def test_a_composed_method_of_a_sync_view_is_made_of_what_was_prepared(stub: StubClient):
    stub.platform.get_node_executions_page.answers(([], None))

    assert stub.sync.platform.get_node_executions("run-1") == []


def test_a_closed_sync_client_closes_the_stub(stub: StubClient):
    with stub.sync:
        pass

    with pytest.raises(Disconnected):
        stub.sync.platform.get_credits("user-1")


async def test_a_sync_program_says_that_it_would_block_a_running_loop(stub: StubClient):
    stub[Accounts.deposit].answers(505)

    with pytest.raises(InsideEventLoop):
        SyncAccounts(stub.sync).deposit("a-1", 5)


class Shelves(Service, name="shelves"):
    """A family whose composed method is made of two calls."""

    @read
    async def count(self, shelf: int) -> int:
        """How many books stand on it."""

    @composed
    async def total(self, shelves: list[int]) -> int:
        """How many stand on all of them."""
        return sum([await self.count(shelf) for shelf in shelves])


class StubShelves(Shelves, StubService):
    """Its view."""


async def test_a_composed_method_is_made_of_what_was_prepared(stub: StubClient):
    shelves = StubShelves(stub)
    shelves.count.answers_by(lambda shelf: shelf * 10)

    assert await shelves.total([1, 2]) == 30
    assert [call.arguments for call in stub.calls] == [{"shelf": 1}, {"shelf": 2}]


def test_making_a_stub_takes_nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ROWCALL_AMQP_URL", "http://nonsense")

    assert isinstance(StubClient().platform, StubPlatform)
