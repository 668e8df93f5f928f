"""A message that comes a second time: whoever had it may have died of one of its calls."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from accounts.services import family as accounts_family
from rpc_client.wire import decode_reply
from tests.proxy import proxied
from tests.services.asking import ME, by, line
from tests.services.desk_given import lay, letter
from worker.calls import hash_arguments
from worker.pipeline import Answered, Pipeline
from worker.testing import local_worker

MANY = "select id, count from rowcall.attempts"
BLOCKED = "select exists (select from pg_locks where not granted and relation = 'rowcall.attempts'::regclass)"


@pytest.fixture
async def account(sql: asyncpg.Connection, pipeline: Pipeline) -> None:
    await sql.execute("insert into accounts.accounts (account_id, owner) values ('a-1', 'me')")


def deposit(request_id: object, amount: int = 5) -> bytes:
    return line(request_id, "accounts.deposit", {"account_id": "a-1", "amount": amount})


async def again(pipeline: Pipeline, *lines: bytes) -> Answered:
    return await pipeline.answer(b"\n".join(lines), by(ME, redelivered=True), "write.accounts.deposit")


def told(answered: Answered) -> list[object]:
    replies = [decode_reply(reply) for reply in answered.replies]
    return [reply.get("result", (reply.get("error"), reply.get("details", {}).get("reason"))) for reply in replies]


async def attempts(sql: asyncpg.Connection) -> dict[UUID, int]:
    return {row["id"]: row["count"] for row in await sql.fetch(MANY)}


async def note(sql: asyncpg.Connection, request_id: UUID, times: int) -> None:
    """That this deposit of 5 began so often, and its worker died."""
    hashed = hash_arguments("accounts.deposit", b'{"account_id":"a-1","amount":5}')
    await sql.execute(
        "insert into rowcall.attempts (id, caller, args_hash, count, run) values ($1, $2, $3, $4, $5)",
        request_id,
        ME,
        hashed,
        times,
        uuid4(),
    )


async def test_a_first_delivery_notes_nothing_and_a_second_notes_what_has_not_run_yet(pipeline, account, sql):
    ran, fresh = uuid4(), uuid4()

    await pipeline.answer(deposit(ran), by(ME), "write.accounts.deposit")
    before = await attempts(sql)
    answers = told(await again(pipeline, deposit(ran), deposit(fresh)))

    assert (before, answers) == ({}, [5, 10])
    assert await attempts(sql) == {fresh: 1}


async def test_the_third_note_condemns_a_call_its_neighbours_run_and_it_is_kept(pipeline, account, sql):
    killer, innocent = uuid4(), uuid4()
    await note(sql, killer, 2)

    answered = await again(pipeline, deposit(killer), deposit(innocent))

    assert told(answered) == [("InternalError", "poison"), 5]
    assert [(letter.reason, letter.id, letter.attempts) for letter in answered.dead] == [("poison", str(killer), 3)]


async def test_a_call_of_another_caller_or_with_other_arguments_does_not_count_for_it(pipeline, account, sql):
    request_id = uuid4()
    await note(sql, request_id, 2)

    answered = await again(pipeline, deposit(request_id, amount=6))

    assert told(answered) == [6]


async def test_a_condemned_call_that_has_run_meanwhile_is_told_what_it_came_to(pipeline, account, sql):
    request_id = uuid4()

    answered = await again(pipeline, *[deposit(request_id)] * 5)

    assert told(answered) == [5] * 5
    assert answered.dead == []


async def test_a_run_that_ends_without_an_outcome_takes_its_note_back(pipeline, account, sql):
    await sql.execute("alter table accounts.accounts add constraint broken check (balance < 1)")
    request_id = uuid4()

    answered = [await again(pipeline, deposit(request_id)) for _ in range(4)]

    assert [told(each) for each in answered] == [[("InternalError", None)]] * 4
    assert {letter.reason for each in answered for letter in each.dead} == {"internal"}
    assert await attempts(sql) == {}


async def test_a_note_whose_answer_was_lost_counts_once(settings, postgres_url, account, sql):
    request_id = uuid4()
    async with proxied(postgres_url) as (proxy, url), local_worker(url, [accounts_family], settings=settings) as worker:
        async with sql.transaction():
            await sql.execute("lock table rowcall.attempts in share mode")
            running = asyncio.create_task(again(worker.pipeline, deposit(request_id)))
            while not await sql.fetchval(BLOCKED):
                await asyncio.sleep(0.01)
            proxy.lose_answer()
        answered = await running

    assert told(answered) == [5]
    assert await attempts(sql) == {request_id: 1}


async def test_a_read_is_not_run_again_and_what_workers_answer_themselves_is(pipeline, account):
    read = line(uuid4(), "accounts.get_account", {"account_id": "a-1"})
    outcome = line(uuid4(), "rowcall.outcome", {"id": str(uuid4()), "fence": False})
    info = line(uuid4(), "rowcall.server_info", {})

    again = by(ME, redelivered=True)
    (refused,) = told(await pipeline.answer(read, again, "read.accounts.get_account"))
    (state,) = told(await pipeline.answer(outcome, again, "read.rowcall.outcome"))
    (known,) = told(await pipeline.answer(info, again, "read.rowcall.server_info"))

    assert refused == ("Unavailable", "redelivered")
    assert state["state"] == "no_trace"
    assert "rowcall" in known["families"]


async def test_whoever_replays_a_call_gives_it_three_workers_anew(local, settings, account, sql):
    (number,) = await lay(settings, letter("accounts.deposit", {"account_id": "a-1", "amount": 5}))
    await sql.execute(
        "insert into rowcall.attempts (id, caller, args_hash, count, run)"
        " select id, caller, args_hash, 3, gen_random_uuid() from rowcall.dead_letters"
    )
    claim = local.served.statements["rowcall.claim_letter"]
    values = {"number": number, "known_id": None, "fresh_id": None, "max_replays": 5, "actor": "tests"}

    await sql.execute(claim.sql, *claim.bind(values))

    assert await attempts(sql) == {}
