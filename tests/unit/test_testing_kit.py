"""A stub answers what a worker could have answered, and nothing else."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from accounts import Account, AsyncAccounts
from accounts.contract import Accounts
from rpc_client import (
    AsyncClient,
    Disconnected,
    IdempotencyKeyReused,
    InsufficientCredits,
    InternalError,
    InvalidRequest,
    NotFoundError,
    OutcomeUnknown,
    RPCError,
    Unavailable,
    UnknownRemoteError,
)
from rpc_client.testing import StubClient, StubError, StubService

ACCOUNT = Account(account_id="a-1", owner="Ada", balance=5, opened_at="2026-01-01T12:00:00+02:00")


@pytest.fixture
def stub() -> StubClient:
    return StubClient()


@pytest.fixture
def accounts(stub: StubClient) -> AsyncAccounts:
    return AsyncAccounts(stub)


class StubAccounts(AsyncAccounts, StubService):
    """The view of a family of another package."""


async def test_an_answer_is_given_to_every_call_in_either_way_of_calling(stub: StubClient):
    stub.platform.get_credits.answers(500)

    client: AsyncClient = stub

    assert await client.platform.get_credits("user-1") == 500
    assert await stub.platform.get_credits("user-2") == 500


async def test_a_family_of_another_package_is_prepared_by_its_declaration_or_by_a_view(stub, accounts):
    stub[Accounts.get_account].answers(ACCOUNT)
    StubAccounts(stub).deposit.answers(505)

    assert await accounts.get_account("a-1") == ACCOUNT
    assert await accounts.deposit("a-1", 500) == 505
    assert [call.method for call in StubAccounts(stub).get_account.calls] == ["accounts.get_account"]


async def test_a_result_makes_the_journey_through_the_wire(stub, accounts):
    stub[Accounts.get_account].answers(ACCOUNT)

    first, again = await accounts.get_account("a-1"), await accounts.get_account("a-1")

    assert first.opened_at.isoformat() == "2026-01-01T10:00:00+00:00"
    assert first == again
    assert first is not again


async def test_none_is_an_answer_where_the_contract_says_so(stub, accounts):
    stub[Accounts.get_account].answers(None)

    assert await accounts.get_account("a-1") is None


async def test_several_answers_come_in_their_order_and_no_call_more_is_answered(stub: StubClient):
    stub.platform.get_credits.answers_in_order(500, Unavailable("PostgreSQL is away"), 300)

    assert await stub.platform.get_credits("user-1") == 500
    with pytest.raises(Unavailable):
        await stub.platform.get_credits("user-1")
    assert await stub.platform.get_credits("user-1") == 300
    with pytest.raises(StubError, match="was called more often"):
        await stub.platform.get_credits("user-1")


async def test_a_function_answers_from_all_the_arguments_whatever_it_calls_them(stub, accounts):
    stub[Accounts.deposit].answers_by(lambda who, cents, why: len(who) * 100 + cents + len(why))

    assert await accounts.deposit("a-1", 5) == 305
    assert await accounts.deposit(amount=5, account_id="a-1", note="rent") == 309


async def test_a_function_gets_what_may_only_be_named_by_its_name(stub: StubClient):
    asked = []
    stub.platform.get_node_executions_page.answers_by(
        lambda graph_exec_id, *, limit, cursor: asked.append((graph_exec_id, limit, cursor)) or ([], None)
    )

    assert await stub.platform.get_node_executions("run-1") == []
    assert asked == [("run-1", 500, None)]


async def test_a_function_may_wait_and_may_fail(stub, accounts):
    let_go = asyncio.Event()

    async def deposit(account_id: str, amount: int, note: str) -> int:
        await let_go.wait()
        if account_id != "a-1":
            raise NotFoundError(f"there is no account {account_id!r}")
        return amount

    stub[Accounts.deposit].answers_by(deposit)
    calls = [asyncio.create_task(accounts.deposit(account, 5)) for account in ("a-1", "b-1")]
    await asyncio.sleep(0)
    let_go.set()

    assert await calls[0] == 5
    with pytest.raises(NotFoundError):
        await calls[1]


async def test_preparing_again_replaces(stub: StubClient):
    stub.platform.get_credits.raises(Unavailable("away"))
    stub.platform.get_credits.answers(7)

    assert await stub.platform.get_credits("user-1") == 7


async def test_a_declared_error_arrives_as_from_a_worker(stub, accounts):
    stub[Accounts.withdraw].raises(InsufficientCredits("balance 5 is below 7", {"balance": 5, "cost": 7}))

    with pytest.raises(InsufficientCredits) as caught:
        await AsyncAccounts(stub.with_options(request_id=UUID(int=7))).withdraw("a-1", 7)

    error = caught.value
    assert (error.details, error.method) == ({"balance": 5, "cost": 7}, "accounts.withdraw")
    assert error.request_id == str(UUID(int=7))


@pytest.mark.parametrize(
    "error",
    [
        InternalError("a bug"),
        Unavailable("away"),
        InvalidRequest("no"),
        UnknownRemoteError("?", code="LeaseLost"),
        IdempotencyKeyReused("taken"),
        OutcomeUnknown("no reply in 10 s"),
        Disconnected("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_any_write_may_end_in_can_be_raised(stub, accounts, error: RPCError):
    stub[Accounts.deposit].raises(error)

    with pytest.raises(type(error), match=str(error).replace("?", r"\?")) as caught:
        await accounts.deposit("a-1", 5)

    assert caught.value is not error
    assert (caught.value.method, caught.value.request_id is None) == ("accounts.deposit", False)


async def test_an_error_that_the_client_does_not_know_arrives_as_unknown(stub, accounts):
    class AccountClosed(NotFoundError):
        """A kind of a declared error that no contract names."""

    stub[Accounts.deposit].raises(AccountClosed("it is closed"))

    with pytest.raises(UnknownRemoteError) as caught:
        await accounts.deposit("a-1", 5)

    assert caught.value.code == "AccountClosed"


async def test_a_function_that_outlasts_the_deadline_leaves_the_outcome_unknown(stub, accounts):
    async def never(account_id: str, amount: int, note: str) -> int:
        return await asyncio.Future()

    stub[Accounts.deposit].answers_by(never)

    with pytest.raises(OutcomeUnknown):
        await AsyncAccounts(stub.with_options(timeout_s=0.01)).deposit("a-1", 5)


async def test_a_closed_stub_is_a_closed_client(stub: StubClient):
    stub.platform.get_credits.answers(500)
    async with stub:
        pass

    with pytest.raises(Disconnected):
        await stub.platform.get_credits("user-1")
