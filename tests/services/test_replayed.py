"""A replayed call, as a worker sees it: its headers hold in place of what its line says, and its receipt decides."""

from __future__ import annotations

import time
from uuid import UUID, uuid4

import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import InvalidRequest
from tests.services.test_exactly_once import answer, balance, line
from worker.calls import Origin, Replay

KEY = "accounts.deposit"


def replay(caller: str = "ada", *, left_s: float = 10, request_id: UUID | None = None) -> Origin:
    deadline_ms = int((time.time() + left_s) * 1000)
    known = None if request_id is None else str(request_id)
    return Origin(caller, "desk", "1", None, redelivered=False, replay=Replay(deadline_ms, known))


@pytest.fixture
async def account(accounts: AsyncAccounts) -> str:
    await accounts.open_account("a-1", "me")
    return "a-1"


async def test_a_fresh_deadline_takes_the_place_of_one_that_has_passed(pipeline, account, sql):
    sent = line(uuid4(), KEY, {"account_id": account, "amount": 5}, left_s=-3600)

    reply = await answer(pipeline, sent, replay())

    assert orjson.loads(reply)["result"] == 5


async def test_a_replay_runs_once_however_often_it_is_sent(pipeline, account, sql):
    sent = line(uuid4(), KEY, {"account_id": account, "amount": 5}, left_s=-3600)

    replies = [await answer(pipeline, sent, replay()) for _ in range(3)]

    assert len(set(replies)) == 1
    assert await balance(sql, account) == 5


async def test_a_line_without_an_id_runs_once_under_the_one_in_the_headers(pipeline, account, sql):
    sent = orjson.dumps({"method": KEY, "args": {"account_id": account, "amount": 5}})
    request_id = uuid4()

    replies = [await answer(pipeline, sent, replay(request_id=request_id)) for _ in range(2)]

    assert len(set(replies)) == 1
    assert await sql.fetchval("select id from rowcall.receipts where method = $1", KEY) == request_id


async def test_a_replay_is_its_caller_s_call_and_its_receipt_theirs(pipeline, account, sql):
    sent = line(uuid4(), KEY, {"account_id": account, "amount": 5})

    await answer(pipeline, sent, replay("ada"))

    assert await sql.fetchval("select caller from rowcall.receipts where method = $1", KEY) == "ada"


async def test_a_replay_that_comes_too_late_forbids_no_other(pipeline, account, sql):
    sent = line(uuid4(), KEY, {"account_id": account, "amount": 5})

    late = orjson.loads(await answer(pipeline, sent, replay(left_s=-1)))
    in_time = orjson.loads(await answer(pipeline, sent, replay()))

    assert late["error"] == "DeadlineExceeded"
    assert in_time["result"] == 5


async def test_one_id_for_several_lines_is_refused(pipeline, account, sql):
    sent = orjson.dumps({"method": KEY, "args": {"account_id": account, "amount": 5}})

    (reply,) = (await pipeline.answer(sent + b"\n" + sent, replay(request_id=uuid4()), f"write.{KEY}")).replies

    assert orjson.loads(reply)["error"] == InvalidRequest.__name__
    assert orjson.loads(reply)["details"] == {"reason": "headers"}
    assert await balance(sql, account) == 0


async def test_a_replay_that_is_refused_forbids_no_other(pipeline, account, sql):
    sent = line(uuid4(), KEY, {"account_id": account, "amount": 5})
    await sql.execute("update accounts.accounts set balance = 9223372036854775807")

    refused = orjson.loads(await answer(pipeline, sent, replay()))
    await sql.execute("update accounts.accounts set balance = 0")
    again = orjson.loads(await answer(pipeline, sent, replay()))

    assert refused["error"] == "InvalidRequest"
    assert again["result"] == 5
