"""A message that comes a second time: whoever had it may have died of one of its calls."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from accounts.services import family as accounts_family
from rpc_client import turns
from rpc_client.wire import decode_reply
from tests.chaos.family import family as chaos_family
from tests.proxy import proxied
from tests.services.asking import ME, by, line
from tests.services.desk_given import lay, letter
from worker.admission import Admission
from worker.attempts import Attempts, key_of
from worker.calls import Call, hash_arguments
from worker.pipeline import Answered, Pipeline
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker

MANY = "select id, count from rowcall.attempts"
BLOCKED = "select exists (select from pg_locks where not granted and relation = 'rowcall.attempts'::regclass)"


@pytest.fixture
async def account(sql: asyncpg.Connection, pipeline: Pipeline) -> None:
    await sql.execute("insert into accounts.accounts (account_id, owner) values ('a-1', 'me')")


def deposit(request_id: object, amount: int = 5, *, attempt: int = 1) -> bytes:
    return line(request_id, "accounts.deposit", {"account_id": "a-1", "amount": amount}, attempt=attempt)


def look(request_id: object, *, attempt: int = 1) -> bytes:
    return line(request_id, "accounts.get_account", {"account_id": "a-1"}, attempt=attempt)


async def again(pipeline: Pipeline, *lines: bytes, message_id: str | None = None) -> Answered:
    """A message that was delivered before."""
    origin = by(ME, redelivered=True, message_id=message_id)
    return await pipeline.answer(b"\n".join(lines), origin, "write.accounts.deposit")


async def anew(pipeline: Pipeline, *lines: bytes, message_id: str) -> Answered:
    """A message that a client made when its connection came back."""
    return await pipeline.answer(b"\n".join(lines), by(ME, message_id=message_id), "write.accounts.deposit")


async def asked(pipeline: Pipeline, body: bytes, *, redelivered: bool, message_id: str) -> Answered:
    """A message with a read."""
    origin = by(ME, redelivered=redelivered, message_id=message_id)
    return await pipeline.answer(body, origin, "read.accounts.get_account")


def told(answered: Answered) -> list[object]:
    replies = [decode_reply(reply) for reply in answered.replies]
    return [reply.get("result", (reply.get("error"), reply.get("details", {}).get("reason"))) for reply in replies]


async def attempts(sql: asyncpg.Connection) -> dict[UUID, int]:
    return {row["id"]: row["count"] for row in await sql.fetch(MANY)}


def a_call(local: LocalWorker, settings: WorkerSettings, message_id: str) -> Call:
    """A deposit in a message of this name."""
    admission = Admission(local.served, settings)
    (call,) = admission.admit([deposit(uuid4())], by(ME, message_id=message_id), "write.accounts.deposit")
    assert isinstance(call, Call)
    return replace(call, id="00000000-0000-4000-8000-000000000001")


async def note(sql: asyncpg.Connection, request_id: UUID, times: int) -> None:
    """That so many workers died of this deposit of 5."""
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


async def test_a_call_that_three_workers_were_lost_with_is_condemned_its_neighbours_run_and_it_is_kept(
    pipeline, account, sql
):
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


async def test_a_message_that_comes_again_and_again_though_its_worker_lives_counts_once(pipeline, account, sql):
    await sql.execute("alter table accounts.accounts add constraint broken check (balance < 1)")
    request_id = uuid4()

    answered = [await again(pipeline, deposit(request_id)) for _ in range(4)]

    assert [told(each) for each in answered] == [[("InternalError", None)]] * 4
    assert {letter.reason for each in answered for letter in each.dead} == {"internal"}
    assert await attempts(sql) == {request_id: 1}


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


async def test_what_a_client_sends_anew_is_noted_and_runs_together(pipeline, account, sql):
    writes = [uuid4() for _ in range(5)]

    answered = await anew(pipeline, *[deposit(each, attempt=2) for each in writes], message_id="b")

    assert sorted(told(answered)) == [5, 10, 15, 20, 25]
    assert await attempts(sql) == dict.fromkeys(writes, 0)
    assert len(set(await sql.fetch("select xmin::text from accounts.entries"))) == 1


async def test_every_worker_that_is_lost_with_a_copy_counts_and_a_run_that_ended_does_not(local, settings, sql):
    noted = Attempts(local.database, local.served.statements)
    by_a, by_b = (a_call(local, settings, message_id) for message_id in ("a", "b"))

    async def lost(call: Call) -> int:
        await noted.lost([call], timeout_s=5)
        (losses,) = (await noted.known([call])).values()
        return losses

    begun = [(await noted.begin([call], timeout_s=5))[key_of(call)] for call in (by_b, by_b)]
    told = [await lost(by_a), await lost(by_a), await lost(by_b), await lost(by_b)]
    (may,) = (await noted.begin([by_a], timeout_s=5)).values()
    await noted.end([by_a])
    told += [await lost(by_a)]
    await noted.begin([by_a], timeout_s=5)
    told += [await lost(by_a)]

    assert begun == [(0, 0), (0, 0)]  # the second time its answer had been lost
    assert (told, may) == ([1, 1, 2, 2, 2, 3], (2, 0))


async def test_copies_that_come_again_and_never_began_count_as_one(local, settings, sql):
    noted = Attempts(local.database, local.served.statements)

    for message_id in ("a", "b", "c", "d"):
        await noted.lost([a_call(local, settings, message_id)], timeout_s=5)

    assert list((await attempts(sql)).values()) == [1]


async def test_a_suspect_waits_for_a_copy_that_may_be_the_third_to_die_of_it(pipeline, account, local, settings, sql):
    request_id = uuid4()
    copy = replace(a_call(local, settings, "b"), id=str(request_id))
    await note(sql, request_id, 1)
    await Attempts(local.database, local.served.statements).begin([copy], timeout_s=5)

    waiting = asyncio.create_task(again(pipeline, deposit(request_id), message_id="a"))
    while await attempts(sql) != {request_id: 2}:
        await asyncio.sleep(0.01)
    before = await sql.fetchval("select count(*) from accounts.entries")
    await pipeline.answer(deposit(request_id), by(ME), "write.accounts.deposit")

    assert told(await waiting) == [5]
    assert before == 0
    assert await sql.fetchval("select count(*) from accounts.entries") == 1


async def test_two_copies_of_a_call_do_not_run_in_one_worker_one_death_would_count_twice(pipeline, account, sql):
    request_id = uuid4()
    with capture_logs() as said:
        async with sql.transaction():
            await sql.execute("select from accounts.accounts for update")
            answering = [asyncio.create_task(again(pipeline, deposit(request_id), message_id=name)) for name in "ab"]
            while not any("in this very worker" in entry.get("error", "") for entry in said):
                await asyncio.sleep(0.01)
            running = await sql.fetchval("select max(cardinality(running)) from rowcall.attempts")

        assert [told(await answered) for answered in answering] == [[5], [5]]
    assert running <= 1
    assert await sql.fetchval("select count(*) from accounts.entries") == 1


async def test_a_suspect_that_learns_only_as_it_begins_of_a_second_loss_runs_alone_after_all(
    pipeline, account, sql, monkeypatch
):
    monkeypatch.setattr("worker.pipeline.FIRST_PAUSE_S", 1.0)
    request_id = uuid4()
    with capture_logs() as said:
        async with sql.transaction():
            await sql.execute("select from accounts.accounts for update")
            answering = asyncio.create_task(again(pipeline, deposit(request_id)))
            while not any(entry["event"] == "trying again" for entry in said):
                await asyncio.sleep(0.01)
            await sql.execute("update rowcall.attempts set count = 2")
        assert told(await answering) == [5]

    assert any("next time it runs alone" in entry.get("error", "") for entry in said)


async def test_slow_suspects_begin_when_all_others_have_and_one_after_the_other(
    settings, postgres_url, sql, monkeypatch
):
    monkeypatch.setattr(turns, "PATIENCE_S", 60)
    async with local_worker(postgres_url, [accounts_family, chaos_family], settings=settings) as worker:
        await sql.execute("insert into accounts.accounts (account_id, owner) values ('a-1', 'me')")
        async with sql.transaction():
            await sql.execute("select from accounts.accounts for update")
            answering = []
            for method, arguments in (
                ("accounts.deposit", {"account_id": "a-1", "amount": 5}),
                ("chaos.linger", {"mark": "slow", "ms": 200}),
                ("chaos.linger", {"mark": "slower", "ms": 200}),
                ("chaos.note", {"mark": "quick"}),
            ):
                message = line(uuid4(), method, arguments), by(ME, redelivered=True), f"write.{method}"
                answering.append(asyncio.create_task(worker.pipeline.answer(*message)))
                while len(await attempts(sql)) < len(answering):
                    await asyncio.sleep(0.01)
        assert [told(await answered) for answered in answering] == [[5], [1], [1], [1]]

    made = await sql.fetch("select mark, made_at from chaos.notes order by note_id")
    assert [row["mark"] for row in made] == ["quick", "slow", "slower"]
    assert made[2]["made_at"] - made[1]["made_at"] >= timedelta(milliseconds=200)


async def test_while_a_call_waits_to_be_tried_again_no_death_counts_against_it(settings, postgres_url, account, sql):
    request_id = uuid4()
    running = "select running <> '{}' from rowcall.attempts"
    async with local_worker(postgres_url, [accounts_family], settings=settings) as worker:
        async with sql.transaction():
            await sql.execute("select from accounts.accounts for update")
            answering = asyncio.create_task(again(worker.pipeline, deposit(request_id)))
            while not await sql.fetchval(running):
                await asyncio.sleep(0.01)
            while await sql.fetchval(running):
                await asyncio.sleep(0.01)
        answered = await answering

    assert told(answered) == [5]
    assert await attempts(sql) == {request_id: 1}


@pytest.mark.parametrize("ask", [again, anew])
async def test_a_run_that_is_cut_short_because_its_worker_shall_end_is_no_loss(pipeline, account, sql, ask):
    running = "select exists (select from rowcall.attempts where running <> '{}')"
    async with sql.transaction():
        await sql.execute("select from accounts.accounts for update")
        answering = asyncio.create_task(ask(pipeline, deposit(uuid4(), attempt=2), message_id="a"))
        while not await sql.fetchval(running):
            await asyncio.sleep(0.01)
        answering.cancel()
        await asyncio.wait([answering])

        assert answering.cancelled()
        assert not await sql.fetchval(running)


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


async def test_a_lost_read_is_counted_once_for_each_message_and_after_three_not_run_however_it_comes(
    pipeline, account, sql
):
    request_id = uuid4()
    for message_id, attempt in [("a", 1), ("a", 1), ("b", 2), ("c", 3)]:
        lost = await asked(pipeline, look(request_id, attempt=attempt), redelivered=True, message_id=message_id)
        assert told(lost) == [("Unavailable", "redelivered")]

    condemned = await asked(pipeline, look(request_id, attempt=4), redelivered=False, message_id="d")

    assert await attempts(sql) == {request_id: 3}
    assert (told(condemned), condemned.dead) == ([("InternalError", "poison")], [])


async def test_a_read_that_was_lost_twice_runs_when_it_is_sent_anew(pipeline, account):
    request_id = uuid4()
    for message_id in ("a", "b"):
        await asked(pipeline, look(request_id), redelivered=True, message_id=message_id)

    (answer,) = told(await asked(pipeline, look(request_id, attempt=3), redelivered=False, message_id="c"))

    assert answer["account_id"] == "a-1"


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
