"""A stub refuses at once what no worker could answer, and says what one could."""

from __future__ import annotations

import pytest

from accounts import AsyncAccounts
from accounts.contract import Accounts
from rpc_client import Conflict, IdempotencyKeyReused, InsufficientCredits, NotFoundError, RPCError
from rpc_client.contract.platform import Platform
from rpc_client.testing import StubClient, StubError


@pytest.fixture
def stub() -> StubClient:
    return StubClient()


@pytest.fixture
def accounts(stub: StubClient) -> AsyncAccounts:
    return AsyncAccounts(stub)


@pytest.mark.parametrize(
    ("method", "result", "says"),
    [
        (Platform.get_credits, "many", r"get_credits\(user_id: str\) -> int> cannot answer 'many': .*valid integer"),
        (Platform.get_credits, None, "cannot answer None"),
        (Accounts.get_account, {"account_id": "a-1"}, "owner: Field required; balance: Field required"),
        (Accounts.list_entries, "none", "should be a valid list"),
        (Accounts.deposit, Conflict("no"), "cannot answer Conflict"),
    ],
)
def test_an_ill_typed_answer_is_refused_when_it_is_prepared(stub, method, result, says):
    with pytest.raises(StubError, match=says):
        stub[method].answers(result)


async def test_an_ill_typed_answer_of_a_function_is_refused_when_it_is_made(stub, accounts):
    stub[Accounts.deposit].answers_by(lambda *_: "many")

    with pytest.raises(StubError, match="cannot answer 'many'"):
        await accounts.deposit("a-1", 5)


@pytest.mark.parametrize(
    ("method", "error", "says"),
    [
        (Platform.get_credits, NotFoundError("no"), "its contract declares no error"),
        (Accounts.deposit, InsufficientCredits("no"), "its contract declares NotFoundError"),
        (Accounts.get_account, IdempotencyKeyReused("taken"), "cannot raise IdempotencyKeyReused"),
        (Accounts.deposit, NotFoundError, "cannot raise <class"),
        (Accounts.deposit, ValueError("no"), "cannot raise ValueError"),
    ],
)
def test_an_error_that_cannot_arrive_is_refused_when_it_is_prepared(stub, method, error, says):
    with pytest.raises(StubError, match=says):
        stub[method].raises(error)
    with pytest.raises(StubError):
        stub[method].answers_in_order(error)


async def test_an_undeclared_error_of_a_function_is_refused_when_it_is_raised(stub, accounts):
    def deposit(*_: object) -> int:
        raise Conflict("no")

    stub[Accounts.deposit].answers_by(deposit)

    with pytest.raises(StubError, match="cannot raise Conflict"):
        await accounts.deposit("a-1", 5)


@pytest.mark.parametrize("function", [5, abs, lambda: 5, lambda a, b, c, d: a + b + c + d])
def test_a_function_that_cannot_take_the_arguments_is_refused(stub, function):
    with pytest.raises(StubError, match=" cannot be answered by"):
        stub[Accounts.deposit].answers_by(function)


def test_an_unknown_method_is_refused_with_the_nearest_names(stub: StubClient):
    with pytest.raises(AttributeError, match="StubPlatform has no method 'get_credit'; did you mean get_credits"):
        stub.platform.get_credit.answers(500)


@pytest.mark.parametrize("given", ["accounts.deposit", Platform.get_node_executions, Accounts])
def test_only_a_method_of_a_contract_can_be_prepared(stub, given):
    with pytest.raises(StubError, match="is no method of a contract"):
        stub[given]


async def test_a_call_nobody_prepared_is_told_with_its_arguments_and_what_is_prepared(stub, accounts):
    stub.platform.get_credits.answers(500)

    with pytest.raises(StubError, match=r'accounts.deposit was called with {"account_id":"a-1",.*: platform.get_cre'):
        await accounts.deposit("a-1", 5)

    assert not issubclass(StubError, RPCError)
