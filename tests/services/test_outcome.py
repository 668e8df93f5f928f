"""What became of a call, told to whoever may know; and fenced, so that it is decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from uuid_utils.compat import uuid7

from accounts.services import family as accounts_family
from rpc_client.wire import decode_reply, encode_call
from tests.proxy import proxied
from worker.calls import Origin
from worker.pipeline import Pipeline
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker

ME = "me"
SOMEBODY = "somebody else"
OPERATOR = "operator"


def line(request_id: object, method: str, arguments: dict[str, Any], *, left_s: float = 10) -> bytes:
    return encode_call(str(request_id), method, orjson.dumps(arguments), int((time.time() + left_s) * 1000), 1)


def by(caller: str, *, redelivered: bool = False) -> Origin:
    return Origin(caller, "tests", None, None, redelivered=redelivered)


async def replies(pipeline: Pipeline, body: bytes, key: str, origin: Origin) -> list[bytes]:
    return (await pipeline.answer(body, origin, key)).replies


async def withdraw(pipeline: Pipeline, request_id: object, amount: int = 5, *, caller: str = ME) -> dict[str, Any]:
    sent = line(request_id, "accounts.withdraw", {"account_id": "a-1", "amount": amount})
    (reply,) = await replies(pipeline, sent, "write.accounts.withdraw", by(caller))
    return decode_reply(reply)


async def asked(
    pipeline: Pipeline, request_id: object, *, fence: bool = False, origin: Origin | None = None, left_s: float = 10
) -> dict[str, Any]:
    """The whole reply to a question for an outcome."""
    question = line(uuid4(), "rowcall.outcome", {"id": str(request_id), "fence": fence}, left_s=left_s)
    (reply,) = await replies(pipeline, question, "read.rowcall.outcome", origin or by(ME))
    return decode_reply(reply)


async def state(pipeline: Pipeline, request_id: object, *, fence: bool = False, caller: str = ME) -> str:
    """The state it is in, or the error's name."""
    reply = await asked(pipeline, request_id, fence=fence, origin=by(caller))
    return reply["error"] if "error" in reply else reply["result"]["state"]


async def bury(sql: asyncpg.Connection, request_id: object, *, caller: str = ME, state: str = "open") -> None:
    """A dead letter in the table."""
    await sql.execute(
        "insert into rowcall.dead_letters (id, caller, args_hash, routing_key, method, reason, error, fingerprint,"
        " attempts, first_at, last_at, worker, state, body, traceback) values ($1, $2, $3, 'write.accounts.withdraw',"
        " 'accounts.withdraw', 'internal', '', '', 1, now(), now(), '', $4, '', '')",
        request_id,
        caller,
        uuid4().bytes,
        state,
    )


async def letters(sql: asyncpg.Connection) -> list[tuple[str, str]]:
    rows = await sql.fetch("select caller, state from rowcall.dead_letters order by number")
    return [(row["caller"], row["state"]) for row in rows]


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


async def receipt_in_flight(sql: asyncpg.Connection, request_id: UUID) -> None:
    await sql.execute(
        "insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, outcome)"
        " values ('1970-01-01', $1, 'me', 'accounts.withdraw', '', 'infinity', '\"result\":495}')",
        request_id,
    )


async def test_a_fence_waits_for_a_commit_in_flight(serving, sql):
    request_id = uuid4()
    async with sql.transaction():
        await receipt_in_flight(sql, request_id)
        fencing = asyncio.ensure_future(state(serving, request_id, fence=True))
        while not await sql.fetchval("select count(*) from pg_locks where not granted"):
            await asyncio.sleep(0.01)

    assert await fencing == "done"


async def test_a_fence_that_waits_too_long_says_to_ask_again(settings, postgres_url, sql):
    hurried, request_id = settings.model_copy(update={"lock_s": 0.1}), uuid4()
    async with local_worker(postgres_url, [accounts_family], settings=hurried) as worker:
        async with sql.transaction():
            await receipt_in_flight(sql, request_id)
            reply = await asked(worker.pipeline, request_id, fence=True)

        assert (reply["error"], "ask again" in reply["message"]) == ("Unavailable", True)
        assert await state(worker.pipeline, request_id, fence=True) == "done"


async def test_a_fence_that_was_written_unheard_is_found_again(settings, sql):
    request_id = uuid4()
    async with (
        proxied(settings.postgres_url.get_secret_value()) as (proxy, url),
        local_worker(url, [accounts_family], settings=settings) as worker,
    ):
        for _ in range(2):  # from here on every step is one round trip
            await state(worker.pipeline, uuid4(), fence=True)
        looked = proxy.round_trips
        fencing = asyncio.ensure_future(state(worker.pipeline, request_id, fence=True))
        while proxy.round_trips < looked + 2:
            await asyncio.sleep(0)
        proxy.lose_answer()

        assert await fencing == "fenced"
        assert proxy.round_trips > looked + 3

    assert await sql.fetchval("select count(*) from rowcall.receipts where id = $1", request_id) == 1


async def test_a_fence_of_which_nothing_was_heard_in_time_is_never_said_not_to_stand(settings):
    async with (
        proxied(settings.postgres_url.get_secret_value()) as (proxy, url),
        local_worker(url, [accounts_family], settings=settings) as worker,
    ):
        proxy.refuse()

        fencing = await asked(worker.pipeline, uuid4(), fence=True, left_s=0.3)
        late = await asked(worker.pipeline, uuid4(), fence=True, left_s=-1)
        reading = await asked(worker.pipeline, uuid4(), left_s=-1)

    assert [(reply["error"], "ask again" in reply["message"]) for reply in (fencing, late)] == [
        ("Unavailable", True)
    ] * 2
    assert reading["error"] == "DeadlineExceeded"


async def test_an_expired_repeat_ends_its_dead_letters_too(local: LocalWorker, sql):
    request_id = uuid4()
    await bury(sql, request_id)
    expired = line(request_id, "accounts.withdraw", {"account_id": "a-1", "amount": 5}, left_s=-1)

    await replies(local.pipeline, expired, "write.accounts.withdraw", by(ME, redelivered=True))

    assert await letters(sql) == [(ME, "fenced")]
