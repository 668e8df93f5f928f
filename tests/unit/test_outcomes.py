"""What a program makes of an outcome, without servers."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from accounts.contract import Account, Accounts
from rpc_client import AsyncClient, CallOutcome, InsufficientCredits, OutcomeUnknown, Unavailable, UnreadableResult
from rpc_client.contract.rowcall import Rowcall
from rpc_client.testing import StubClient

ID = str(uuid4())
ACCOUNT = {"account_id": "a-1", "owner": "Ada", "balance": 5, "opened_at": "2026-01-01T12:00:00Z"}
REFUSAL = {"error": "InsufficientCredits", "message": "too little", "details": {"balance": 5, "cost": 7}}


def outcome(state: str, reply: dict | None = None, method: str | None = "accounts.open_account") -> CallOutcome:
    return CallOutcome(id=ID, state=state, method=method, reply=reply)


def test_a_result_comes_back_in_its_own_type():
    account = outcome("done", {"result": ACCOUNT}).result(Accounts.open_account)

    assert account == Account.model_validate(ACCOUNT)


def test_an_error_is_raised_as_it_was_answered():
    with pytest.raises(InsufficientCredits, match="too little") as caught:
        outcome("failed", REFUSAL, "accounts.withdraw").result(Accounts.withdraw)

    assert caught.value.details == {"balance": 5, "cost": 7}
    assert (caught.value.request_id, caught.value.method) == (ID, "accounts.withdraw")


@pytest.mark.parametrize("state", ["dead_lettered", "no_trace"])
def test_what_is_not_decided_is_still_unknown(state: str):
    with pytest.raises(OutcomeUnknown, match=f"{state}.*fence=True") as caught:
        outcome(state).result(Accounts.open_account)

    assert caught.value.request_id == ID


@pytest.mark.parametrize("state", ["done", "failed"])
def test_what_was_answered_and_is_kept_no_longer_is_said_to_be(state: str):
    with pytest.raises(OutcomeUnknown, match=f"is {state}; what it was answered is kept no longer"):
        outcome(state).result(Accounts.open_account)


def test_a_result_is_not_taken_for_another_method_s():
    with pytest.raises(ValueError, match=r"a call of accounts\.withdraw, not of accounts\.deposit"):
        outcome("done", {"result": 5}, "accounts.withdraw").result(Accounts.deposit)


def test_a_result_of_another_version_says_so():
    with pytest.raises(UnreadableResult) as caught:
        outcome("done", {"result": "many"}, "accounts.deposit").result(Accounts.deposit)

    assert caught.value.request_id == ID


def test_a_stub_answers_in_both_clients_what_was_prepared():
    stub, fenced = StubClient(), outcome("fenced", method=None)
    stub[Rowcall.outcome].answers_in_order(fenced, outcome("no_trace", method=None))

    assert asyncio.run(stub.outcome(ID, fence=True)) == fenced
    assert stub.sync.outcome(UUID(ID)).state == "no_trace"
    assert [call.arguments for call in stub[Rowcall.outcome].calls] == [
        {"id": ID, "fence": True},
        {"id": ID, "fence": False},
    ]


async def test_a_question_goes_under_an_id_of_its_own_and_its_error_names_the_call_in_question():
    stub = StubClient()
    stub[Rowcall.outcome].raises(Unavailable("ask again"))
    client: AsyncClient = stub.with_options(request_id=UUID(ID))

    with pytest.raises(Unavailable) as caught:
        await client.outcome(ID)

    (question,) = stub[Rowcall.outcome].calls
    assert (caught.value.request_id, question.request_id == ID) == (ID, False)
