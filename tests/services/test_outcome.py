"""What became of a call, told to whoever may know; and fenced, so that it is decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from accounts.services import family as accounts_family
from rpc_client.wire import decode_reply
from tests.services.asking import ME, asked, bury, by, letters, line, replies, state
from worker.pipeline import Pipeline
from worker.settings import WorkerSettings
from worker.testing import local_worker

SOMEBODY = "somebody else"
OPERATOR = "operator"


async def withdraw(pipeline: Pipeline, request_id: object, amount: int = 5, *, caller: str = ME) -> dict[str, Any]:
    sent = line(request_id, "accounts.withdraw", {"account_id": "a-1", "amount": amount})
    (reply,) = await replies(pipeline, sent, "write.accounts.withdraw", by(caller))
    return decode_reply(reply)


async def balance(sql: asyncpg.Connection) -> int:
    return await sql.fetchval("select balance from accounts.accounts")


@pytest.fixture
async def serving(settings: WorkerSettings, sql: asyncpg.Connection) -> AsyncIterator[Pipeline]:
    """A worker that knows an operator, and an account with 500 cents."""
    chosen = settings.model_copy(update={"operators": [OPERATOR]})
    async with local_worker(settings.postgres_url.get_secret_value(), [accounts_family], settings=chosen) as worker:
        await sql.execute("insert into accounts.accounts (account_id, owner, balance) values ('a-1', 'me', 500)")
        yield worker.pipeline


async def test_a_call_that_ran_is_done_and_its_reply_is_the_stored_one_byte_for_byte(serving, sql):
    request_id, question = uuid7(), uuid4()
    await withdraw(serving, request_id)
    stored = await sql.fetchval("select outcome from rowcall.receipts where id = $1", request_id)

    (reply,) = await replies(
        serving, line(question, "rowcall.outcome", {"id": str(request_id)}), "read.rowcall.outcome", by(ME)
    )

    head = f'{{"id":"{question}","result":{{"id":"{request_id}","state":"done","method":"accounts.withdraw","reply":{{'
    assert reply.decode() == f"{head}{stored}}}}}"


async def test_a_call_that_was_refused_has_failed_with_its_error(serving):
    request_id = uuid4()
    refused = await withdraw(serving, request_id, 501)

    result = (await asked(serving, request_id))["result"]

    assert result["state"] == "failed"
    assert result["reply"] == {name: refused[name] for name in ("error", "message", "details")}


async def test_what_nobody_heard_of_has_left_no_trace(serving):
    assert (await asked(serving, request_id := uuid7()))["result"] == {
        "id": str(request_id),
        "state": "no_trace",
        "method": None,
        "reply": None,
    }


async def test_a_running_call_has_left_no_trace_and_a_fence_ends_it(serving, sql):
    request_id = uuid4()
    async with sql.transaction():
        await sql.execute("select 1 from accounts.accounts for update")
        running = asyncio.ensure_future(withdraw(serving, request_id))
        while not await sql.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)

        unfenced, fenced = await state(serving, request_id), await state(serving, request_id, fence=True)

    assert (unfenced, fenced) == ("no_trace", "fenced")
    assert (await running)["details"] == {"reason": "fenced"}
    assert await balance(sql) == 500


async def test_a_fenced_call_never_runs(serving, sql):
    request_id = uuid7()

    states = [await state(serving, request_id, fence=fence) for fence in (True, True, False)]
    late = await withdraw(serving, request_id)

    assert states == ["fenced"] * 3
    assert (late["error"], late["details"]) == ("Conflict", {"reason": "fenced"})
    assert await balance(sql) == 500


async def test_a_fence_changes_nothing_about_what_is_decided(serving):
    for amount, decided in ((5, "done"), (501, "failed")):
        request_id = uuid4()
        first = await withdraw(serving, request_id, amount)

        assert await state(serving, request_id, fence=True) == decided
        assert await withdraw(serving, request_id, amount) == first


async def test_an_id_is_the_same_in_any_case(serving):
    request_id = uuid7()
    await withdraw(serving, request_id)

    assert await state(serving, str(request_id).upper(), fence=True) == "done"


async def test_a_dead_letter_is_told_of_until_its_id_has_a_receipt(serving, sql):
    request_id = uuid4()
    await bury(sql, request_id)

    before = await state(serving, request_id)
    await withdraw(serving, request_id)

    assert (before, await state(serving, request_id)) == ("dead_lettered", "done")


async def test_a_fence_ends_the_dead_letters_that_could_still_be_replayed(serving, sql):
    request_id = uuid4()
    for kept in ("open", "replaying", "discarded"):
        await bury(sql, request_id, state=kept)
    await bury(sql, uuid4())
    await bury(sql, request_id, caller=SOMEBODY)

    assert await state(serving, request_id, fence=True) == "fenced"
    assert await letters(sql) == [
        (ME, "fenced"),
        (ME, "fenced"),
        (ME, "discarded"),
        (ME, "open"),
        (SOMEBODY, "open"),
    ]


@pytest.mark.parametrize(("word", "decided"), [("done", "done"), ("InsufficientCredits", "failed")])
async def test_what_a_dead_letter_says_has_run_is_not_fenced_though_its_receipt_is_forgotten(
    serving, sql, word, decided
):
    request_id = uuid4()
    await bury(sql, request_id, state="resolved", outcome=word)

    told = (await asked(serving, request_id, fence=True))["result"]

    assert (told["state"], told["method"], told["reply"]) == (decided, "accounts.withdraw", None)
    assert await sql.fetchval("select count(*) from rowcall.receipts") == 0


@pytest.mark.parametrize("given_up", ["discarded", "fenced", "replaced"])
async def test_a_dead_letter_that_waits_for_nobody_is_no_trace_and_may_be_fenced(serving, sql, given_up):
    request_id = uuid4()
    await bury(sql, request_id, state=given_up)

    assert [await state(serving, request_id, fence=fence) for fence in (False, True)] == ["no_trace", "fenced"]


async def test_a_dead_letter_tells_under_which_id_it_goes_on_when_no_receipt_does_any_more(serving, sql):
    request_id, other = uuid4(), uuid4()
    await bury(sql, request_id, replay_id=other)

    before = await state(serving, request_id)
    await withdraw(serving, other)

    assert (before, await state(serving, request_id, fence=True)) == ("dead_lettered", "done")


async def test_somebody_else_s_call_is_not_told_of_and_not_fenced(serving, sql):
    ran, buried = uuid4(), uuid4()
    await withdraw(serving, ran)
    await bury(sql, buried)

    for request_id in (ran, buried):
        for fence in (False, True):
            reply = await asked(serving, request_id, fence=fence, origin=by(SOMEBODY))
            assert (reply["error"], reply["details"]) == ("AuthorizationError", {})

    assert await letters(sql) == [(ME, "open")]
    assert await state(serving, buried) == "dead_lettered"


async def test_an_operator_is_told_of_every_call_and_the_worker_s_own_user_is_one(serving, sql, settings):
    ran, buried = uuid4(), uuid4()
    await withdraw(serving, ran)
    await bury(sql, buried)

    for operator in (OPERATOR, settings.caller):
        assert [await state(serving, request_id, caller=operator) for request_id in (ran, buried)] == [
            "done",
            "dead_lettered",
        ]


async def test_an_operator_s_fence_binds_the_caller_who_may_know_of_it(serving, sql):
    buried, unheard_of = uuid4(), uuid4()
    await bury(sql, buried)
    await bury(sql, buried, caller=SOMEBODY)

    for request_id in (buried, unheard_of):
        assert await state(serving, request_id, fence=True, caller=OPERATOR) == "fenced"
        assert await state(serving, request_id) == "fenced"
        assert (await withdraw(serving, request_id))["details"] == {"reason": "fenced"}

    assert await letters(sql) == [(ME, "fenced"), (SOMEBODY, "fenced")]
    assert await balance(sql) == 500


async def test_an_id_whose_time_is_not_remembered_is_refused(serving, sql):
    for days in (-8, 1):
        made_ms = int((time.time() + days * 86400) * 1000)
        request_id = UUID(int=(made_ms << 80) | (7 << 76) | (2 << 62) | 1)

        for fence in (False, True):
            reply = await asked(serving, request_id, fence=fence)
            assert (reply["error"], reply["details"]) == ("InvalidRequest", {"reason": "request_id_day", "limit": 7})

    assert await sql.fetchval("select count(*) from rowcall.receipts") == 0


async def test_what_is_no_id_is_refused(serving):
    for text in ("", "7", uuid4().hex, f"urn:uuid:{uuid4()}"):
        reply = await asked(serving, text)

        assert (reply["error"], reply["details"]["argument"]) == ("InvalidRequest", "id")


async def test_several_ids_in_one_message_are_each_answered(serving, sql):
    ids = ran, refused, buried, _ = [uuid4() for _ in range(4)]
    await withdraw(serving, ran)
    await withdraw(serving, refused, 501)
    await bury(sql, buried)

    async def states(*, fence: bool) -> list[str]:
        body = b"\n".join(line(uuid4(), "rowcall.outcome", {"id": str(one), "fence": fence}) for one in ids)
        answered = await replies(serving, body, "read.rowcall.outcome", by(ME))
        return [decode_reply(reply)["result"]["state"] for reply in answered]

    assert await states(fence=False) == ["done", "failed", "dead_lettered", "no_trace"]
    assert await states(fence=True) == ["done", "failed", "fenced", "fenced"]


async def test_a_question_that_is_delivered_again_is_answered_again(serving):
    request_id = uuid4()
    await asked(serving, request_id, fence=True)

    reply = await asked(serving, request_id, fence=True, origin=by(ME, redelivered=True))

    assert reply["result"]["state"] == "fenced"
