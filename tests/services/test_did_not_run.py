"""Whoever is told that a call did not run can rely on it, also where the call may have run before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import orjson
import pytest
import structlog

from accounts.services import family as accounts_family
from rpc_client.wire import decode_reply, encode_call
from worker.calls import Origin
from worker.pipeline import Answered, Pipeline
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker

DEPOSIT = "accounts.deposit"


def line(request_id: object, *, left_s: float = 10, attempt: int = 2) -> bytes:
    arguments = orjson.dumps({"account_id": "a-1", "amount": 5})
    return encode_call(str(request_id), DEPOSIT, arguments, int((time.time() + left_s) * 1000), attempt)


async def answered(pipeline: Pipeline, sent: bytes) -> Answered:
    return await pipeline.answer(sent, Origin("tests", "tests", None, None, redelivered=False), f"write.{DEPOSIT}")


async def told(pipeline: Pipeline, sent: bytes) -> tuple[str, object]:
    """The error of its reply, and its reason."""
    reply = decode_reply((await answered(pipeline, sent)).replies[0])
    return reply["error"], reply["details"].get("reason")


async def late_run(sql: asyncpg.Connection, pipeline: Pipeline, request_id: object) -> tuple[int, tuple[str, object]]:
    """What the account holds after a late delivery of the call, and what that is told."""
    late = await told(pipeline, line(request_id))
    return await sql.fetchval("select balance from accounts.accounts"), late


@pytest.fixture
async def account(sql: asyncpg.Connection, pipeline: Pipeline) -> str:
    await sql.execute("insert into accounts.accounts (account_id, owner) values ('a-1', 'me')")
    return "a-1"


@pytest.fixture
async def narrow(settings: WorkerSettings, account: str) -> AsyncIterator[LocalWorker]:
    """A worker with one connection, for which nobody waits long."""
    url, one = settings.postgres_url.get_secret_value(), {"pool_size": 1, "acquire_s": 0.05}
    async with local_worker(url, [accounts_family], settings=settings.model_copy(update=one)) as worker:
        yield worker


async def test_of_a_repeat_whose_receipt_came_too_late_the_id_is_fenced(pipeline, account, sql):
    await sql.execute("alter table rowcall.receipts alter column at set default clock_timestamp() + interval '1 hour'")
    request_id = uuid4()

    first, repeat = await told(pipeline, line(uuid4(), attempt=1)), await told(pipeline, line(request_id))
    await sql.execute("alter table rowcall.receipts alter column at set default clock_timestamp()")

    assert first == ("DeadlineExceeded", None)
    assert repeat == ("Conflict", "fenced")
    assert await late_run(sql, pipeline, request_id) == (0, ("Conflict", "fenced"))


async def test_of_a_repeat_whose_statement_was_cancelled_the_id_is_fenced(settings, postgres_url, account, sql):
    hurried = settings.model_copy(update={"statement_s": 0.5})
    request_id = uuid4()
    async with local_worker(postgres_url, [accounts_family], settings=hurried) as worker:
        async with sql.transaction():
            await sql.execute("select 1 from accounts.accounts for update")
            first = await told(worker.pipeline, line(uuid4(), attempt=1))
            repeat = await told(worker.pipeline, line(request_id))

        assert first == ("Unavailable", None)
        assert repeat == ("Conflict", "fenced")
        assert await late_run(sql, worker.pipeline, request_id) == (0, ("Conflict", "fenced"))


async def test_a_repeat_that_finds_no_free_connection_is_told_that_nobody_knows_and_is_kept(narrow):
    async with narrow.database.connection(1):
        sent = line(uuid4(), left_s=0.3)
        first = await answered(narrow.pipeline, line(uuid4(), attempt=1))
        repeat = await answered(narrow.pipeline, sent)

    told = decode_reply(first.replies[0])
    assert (told["error"], told["attempt"], told["deadline"] > 0, first.dead) == ("Unavailable", 1, True, [])
    reply = decode_reply(repeat.replies[0])
    assert (reply["error"], "could not be looked up" in reply["message"]) == ("Unavailable", True)
    assert [(letter.reason, letter.body) for letter in repeat.dead] == [("exhausted", sent)]


async def test_a_repeat_waits_for_a_connection_as_long_as_it_has_time(narrow):
    with structlog.testing.capture_logs() as lines:
        async with narrow.database.connection(1):
            waiting = asyncio.ensure_future(answered(narrow.pipeline, line(uuid4())))
            while not any(line["event"] == "trying again" for line in lines):
                await asyncio.sleep(0.01)

    assert decode_reply((await waiting).replies[0])["result"] == 5


async def test_a_repeat_that_meets_a_bug_says_that_it_may_have_run_and_can_be_replayed(pipeline, account, sql):
    request_id = uuid4()
    await sql.execute("alter table accounts.entries alter column balance type boolean using balance > 0")

    met = await answered(pipeline, line(request_id))
    await sql.execute("alter table accounts.entries alter column balance type bigint using 0")

    reply = decode_reply(met.replies[0])
    assert (reply["error"], "whether the call ran before is not known" in reply["message"]) == ("InternalError", True)
    assert [letter.reason for letter in met.dead] == ["internal"]
    assert decode_reply((await answered(pipeline, line(request_id))).replies[0])["result"] == 5


async def test_a_repeat_that_nobody_waits_for_is_kept_and_not_fenced(settings, postgres_url, account, sql):
    hurried = settings.model_copy(update={"lock_s": 0.1})
    sent = line(uuid4(), left_s=0.5)
    origin = Origin("tests", None, None, None, redelivered=False)
    async with local_worker(postgres_url, [accounts_family], settings=hurried) as worker, sql.transaction():
        await sql.execute("select 1 from accounts.accounts for update")
        whole = await worker.pipeline.answer(sent, origin, f"write.{DEPOSIT}")

    assert [(letter.reason, letter.body) for letter in whole.dead] == [("exhausted", sent)]
    assert await sql.fetchval("select count(*) from rowcall.receipts") == 0
