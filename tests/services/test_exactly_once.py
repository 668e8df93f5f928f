"""A write happens exactly once, whatever is sent again, and its answer is the same bytes every time."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient, Conflict, DeadlineExceeded, IdempotencyKeyReused, InsufficientCredits, NotFoundError
from rpc_client.wire import decode_reply, encode_call
from worker.calls import Origin
from worker.pipeline import Pipeline
from worker.testing import LocalWorker


def now() -> Origin:
    """A message that arrives now: nothing may run later than 300 s after its arrival."""
    return Origin("tests", "tests", None, None, redelivered=False)


@pytest.fixture
async def account(accounts: AsyncAccounts) -> str:
    await accounts.open_account("a-1", "me")
    await accounts.deposit("a-1", 500)
    return "a-1"


def under(direct: AsyncClient, request_id: UUID | None = None, **options) -> AsyncAccounts:
    return AsyncAccounts(direct.with_options(request_id=request_id, **options))


async def balance(sql: asyncpg.Connection, account: str) -> int:
    return await sql.fetchval("select balance from accounts.accounts where account_id = $1", account)


def line(request_id: object, method: str, arguments: dict, *, left_s: float = 10, attempt: int = 1) -> bytes:
    deadline_ms = int((time.time() + left_s) * 1000)
    return encode_call(str(request_id), method, orjson.dumps(arguments), deadline_ms, attempt)


async def answer(pipeline: Pipeline, sent: bytes, origin: Origin | None = None) -> bytes:
    method = orjson.loads(sent)["method"]
    lane = "read" if method == "accounts.get_account" else "write"
    (reply,) = (await pipeline.answer(sent, origin or now(), f"{lane}.{method}")).replies
    return reply


async def test_the_same_id_twice_charges_once_with_equal_replies(local: LocalWorker, direct, account, sql):
    request_id = uuid4()

    first = await under(direct, request_id).withdraw(account, 100, "lunch")
    again = await under(direct, request_id).withdraw(account, 100, "lunch")

    assert (first, again) == (400, 400)
    assert local.replies[-1] == local.replies[-2]
    assert await balance(sql, account) == 400


async def test_a_repeat_runs_neither_effect_nor_events(direct, events, account):
    request_id = uuid4()
    await under(direct, request_id).withdraw(account, 100)
    told = len(events)

    await under(direct, request_id).withdraw(account, 100)

    assert len(events) == told


async def test_a_story_is_recognised_like_a_statement(local, direct, accounts, account, sql):
    await accounts.open_account("b-1", "you")
    request_id = uuid4()

    await under(direct, request_id).transfer(account, "b-1", 100)
    await under(direct, request_id).transfer(account, "b-1", 100)

    assert local.replies[-1] == local.replies[-2]
    assert (await balance(sql, account), await balance(sql, "b-1")) == (400, 100)


async def test_a_business_error_is_remembered_too(local, direct, accounts, account):
    request_id = uuid4()
    with pytest.raises(InsufficientCredits):
        await under(direct, request_id).withdraw(account, 501)
    await accounts.deposit(account, 1000)

    with pytest.raises(InsufficientCredits) as caught:
        await under(direct, request_id).withdraw(account, 501)

    assert caught.value.details == {"balance": 500, "cost": 501}
    assert local.replies[-1] == local.replies[-3]


async def test_a_constraint_s_refusal_is_a_remembered_conflict(local, direct, accounts):
    await accounts.open_account("c-1", "me")
    request_id = uuid4()

    for _ in range(2):
        with pytest.raises(Conflict):
            await under(direct, request_id).open_account("c-1", "you")

    assert local.replies[-1] == local.replies[-2]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("accounts.withdraw", {"amount": 101}),
        ("accounts.deposit", {"amount": 100}),
        ("accounts.withdraw", {"note": "x"}),
    ],
)
async def test_the_id_of_another_call_is_refused(direct, pipeline, account, sql, method, arguments):
    request_id = uuid4()
    await under(direct, request_id).withdraw(account, 100)

    reply = await answer(pipeline, line(request_id, method, {"account_id": account, "amount": 100} | arguments))

    assert decode_reply(reply)["error"] == "IdempotencyKeyReused"
    assert await balance(sql, account) == 400


async def test_another_caller_s_id_is_refused_without_a_word_about_it(direct, pipeline, account):
    request_id = uuid4()
    await under(direct, request_id).withdraw(account, 100)
    sent = line(request_id, "accounts.withdraw", {"account_id": account, "amount": 100})

    reply = decode_reply(await answer(pipeline, sent, Origin("somebody else", "tests", None, None, redelivered=False)))

    assert (reply["error"], reply["details"]) == ("IdempotencyKeyReused", {})


async def test_order_of_arguments_and_case_of_the_id_do_not_make_it_another_call(pipeline, account, sql):
    request_id = uuid4()
    sent = line(request_id, "accounts.withdraw", {"account_id": account, "amount": 100})
    resent = line(str(request_id).upper(), "accounts.withdraw", {"amount": 100, "account_id": account})

    first, again = await answer(pipeline, sent), await answer(pipeline, resent)

    assert decode_reply(first)["result"] == decode_reply(again)["result"] == 400
    assert decode_reply(again)["id"] == str(request_id).upper()
    assert await balance(sql, account) == 400


async def test_ten_times_at_once_under_one_id_is_once(direct, account, sql):
    request_id = uuid4()

    results = await asyncio.gather(*(under(direct, request_id).withdraw(account, 100) for _ in range(10)))

    assert results == [400] * 10
    assert await balance(sql, account) == 400


async def test_just_before_and_just_after_midnight_the_same_id_charges_once(pipeline, account, sql):
    """A UUIDv7's day is its own, so the day of arrival does not matter; any other id has one fixed day."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    midnight = (today + timedelta(days=1)).timestamp()
    made_ms = int(midnight * 1000) - 1
    v7, other = UUID(int=(made_ms << 80) | (7 << 76) | (2 << 62) | 1), uuid4()

    for request_id in (v7, other):
        sent = line(
            request_id,
            "accounts.withdraw",
            {"account_id": account, "amount": 100},
            left_s=midnight + 10 - time.time(),
        )
        for received_at in (midnight - 0.001, midnight + 0.001):
            origin = Origin("tests", "tests", None, None, redelivered=False, received_at=received_at)
            assert decode_reply(await answer(pipeline, sent, origin))["result"] in (400, 300)

    assert await balance(sql, account) == 300
    days = await sql.fetch("select day from rowcall.receipts where id = any($1::uuid[]) order by day", [v7, other])
    assert [row["day"] for row in days] == [date(1970, 1, 1), today.date()]


async def test_ten_spend_100_of_500_at_once_and_five_succeed(accounts, account, sql):
    results = await asyncio.gather(*(accounts.withdraw(account, 100) for _ in range(10)), return_exceptions=True)

    assert sorted(result for result in results if isinstance(result, int)) == [0, 100, 200, 300, 400]
    refused = [result for result in results if isinstance(result, InsufficientCredits)]
    assert len(refused) == 5
    assert all(error.details["balance"] < 100 for error in refused)
    assert await balance(sql, account) == 0


async def test_opposite_transfers_do_not_wait_for_each_other_for_ever(accounts, account, sql):
    await accounts.open_account("b-1", "you")
    await accounts.deposit("b-1", 500)

    there = (accounts.transfer(account, "b-1", 10) for _ in range(20))
    back = (accounts.transfer("b-1", account, 10) for _ in range(20))
    await asyncio.gather(*there, *back)

    assert (await balance(sql, account), await balance(sql, "b-1")) == (500, 500)


async def test_an_expired_call_is_not_run(pipeline, account, sql):
    sent = line(uuid4(), "accounts.withdraw", {"account_id": account, "amount": 100}, left_s=-1)

    reply = decode_reply(await answer(pipeline, sent))

    assert reply["error"] == "DeadlineExceeded"
    assert await balance(sql, account) == 500


async def test_what_was_done_before_its_deadline_is_answered_after_it(pipeline, account):
    request_id, arguments = uuid4(), {"account_id": account, "amount": 100}
    first = await answer(pipeline, line(request_id, "accounts.withdraw", arguments))

    again = await answer(pipeline, line(request_id, "accounts.withdraw", arguments, left_s=-1, attempt=2))

    assert decode_reply(first)["result"] == 400
    assert again == first


async def test_an_expired_repeat_without_a_receipt_is_fenced_so_that_the_answer_stays_true(pipeline, account, sql):
    request_id = uuid4()
    arguments = {"account_id": account, "amount": 100}
    reply = decode_reply(await answer(pipeline, line(request_id, "accounts.withdraw", arguments, left_s=-1, attempt=2)))

    late = decode_reply(await answer(pipeline, line(request_id, "accounts.withdraw", arguments)))

    assert (reply["error"], reply["details"]) == ("Conflict", {"reason": "fenced"})
    assert (late["error"], late["details"]) == ("Conflict", {"reason": "fenced"})
    assert await balance(sql, account) == 500


async def test_a_write_that_waits_for_a_lock_past_its_deadline_changes_nothing(direct, account, sql):
    async with sql.transaction():
        await sql.execute("select 1 from accounts.accounts where account_id = $1 for update", account)

        with pytest.raises((DeadlineExceeded, Conflict)):
            await under(direct, timeout_s=0.5).withdraw(account, 100)

    assert await balance(sql, account) == 500


async def test_a_terminated_backend_is_tried_again(direct, account, sql):
    killed = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'rowcall worker'"
    async with sql.transaction():
        await sql.execute("select 1 from accounts.accounts where account_id = $1 for update", account)
        waiting = asyncio.ensure_future(under(direct).withdraw(account, 100))
        while not await sql.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)
        await sql.fetch(f"{killed} and datname = current_database()")

    assert await waiting == 400
    assert await balance(sql, account) == 400


async def test_an_error_changes_no_table_but_the_receipts(accounts, account, sql):
    checksum = "select md5(string_agg(t::text, '')) from (select * from accounts.{} order by 1) as t"
    before = [await sql.fetchval(checksum.format(table)) for table in ("accounts", "entries")]

    for attempt in (
        accounts.withdraw(account, 501),
        accounts.withdraw("nobody", 1),
        accounts.deposit("nobody", 1),
        accounts.open_account(account, "you"),
        accounts.transfer(account, "nobody", 1),
        accounts.transfer(account, account, 1),
    ):
        with pytest.raises((InsufficientCredits, NotFoundError, Conflict)):
            await attempt

    assert [await sql.fetchval(checksum.format(table)) for table in ("accounts", "entries")] == before


async def test_a_pipeline_answers_a_message_s_calls_in_their_order_whatever_the_neighbours(pipeline, account):
    lines = [
        line(uuid4(), "accounts.withdraw", {"account_id": account, "amount": 1}),
        b"garbage",
        line(uuid4(), "accounts.withdraw", {"account_id": account, "amount": 10_000}),
    ]

    answered = await pipeline.answer(b"\n".join(lines), now(), "write.accounts.withdraw")

    replies = [decode_reply(reply) for reply in answered.replies]
    assert replies[0]["result"] == 499
    assert (replies[1]["id"], replies[1]["error"]) == (None, "InvalidRequest")
    assert replies[2]["error"] == "InsufficientCredits"


async def test_the_client_refuses_another_call_under_an_id_that_still_waits(direct, account):
    request_id = uuid4()
    await under(direct, request_id).withdraw(account, 100)

    with pytest.raises(IdempotencyKeyReused):
        await under(direct, request_id).withdraw(account, 200)
