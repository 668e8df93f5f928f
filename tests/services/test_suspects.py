"""A message that comes a second time: whoever had it may have died of one of its calls."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

from structlog.testing import capture_logs

from accounts.services import family as accounts_family
from rpc_client.wire import decode_reply
from tests.proxy import proxied
from tests.services.asking import ME, by, line
from tests.services.desk_given import lay, letter
from tests.services.suspects_given import a_call, again, anew, asked, attempts, deposit, look, note, told
from worker.attempts import Attempts, Key, key_of
from worker.calls import Call
from worker.suspects import DECIDES
from worker.testing import local_worker

BLOCKED = "select exists (select from pg_locks where not granted and relation = 'rowcall.attempts'::regclass)"


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
    await note(sql, killer, 2, decided=True)

    answered = await again(pipeline, deposit(killer), deposit(innocent))

    assert told(answered) == [("InternalError", "poison"), 5]
    assert [(letter.reason, letter.id, letter.attempts) for letter in answered.dead] == [("poison", str(killer), 3)]


async def test_a_call_of_another_caller_or_with_other_arguments_does_not_count_for_it(pipeline, account, sql):
    request_id = uuid4()
    await note(sql, request_id, 2, decided=True)

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


async def test_it_is_said_that_a_run_decides_before_that_is_noted(pipeline, account, sql, monkeypatch):
    request_id, begin, said = uuid4(), Attempts.begin, []
    await note(sql, request_id, 1)

    async def noted(*args: Any, decides: bool = False, **kwargs: Any) -> dict[Key, tuple[int, int]]:
        said.append((decides, [entry["event"] for entry in logs]))
        return await begin(*args, decides=decides, **kwargs)

    monkeypatch.setattr(Attempts, "begin", noted)
    with capture_logs() as logs:
        answered = await again(pipeline, deposit(request_id))

    assert (told(answered), said) == ([5], [(True, [DECIDES])])


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
    (may,) = (await noted.begin([by_a], timeout_s=5, decides=True)).values()
    await noted.end([by_a])
    told += [await lost(by_a)]
    await noted.begin([by_a], timeout_s=5, decides=True)
    told += [await lost(by_a)]

    assert begun == [(0, 0), (0, 0)]  # the second time its answer had been lost
    assert (told, may) == ([1, 1, 2, 2, 2, 3], (2, 0))


async def test_copies_that_come_again_and_never_began_count_as_one(local, settings, sql):
    noted = Attempts(local.database, local.served.statements)

    for message_id in ("a", "b", "c", "d"):
        await noted.lost([a_call(local, settings, message_id)], timeout_s=5)

    assert list((await attempts(sql)).values()) == [1]


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
        await sql.execute("update rowcall.attempts set decided = true")

    condemned = await asked(pipeline, look(request_id, attempt=4), redelivered=False, message_id="d")

    assert await attempts(sql) == {request_id: 3}
    assert (told(condemned), condemned.dead) == ([("InternalError", "poison")], [])


async def test_a_lost_read_is_answered_when_its_loss_is_noted_for_of_others_it_is_feared_that_they_run(
    settings, postgres_url, account, sql, monkeypatch
):
    request_id, tries, note_losses = uuid4(), [], Attempts.lost

    async def counted(*args: Any, **kwargs: Any) -> dict[Key, int]:
        tries.append(args)
        return await note_losses(*args, **kwargs)

    monkeypatch.setattr(Attempts, "lost", counted)
    async with proxied(postgres_url) as (proxy, url), local_worker(url, [accounts_family], settings=settings) as worker:
        proxy.refuse()
        lost = asyncio.create_task(asked(worker.pipeline, look(request_id), redelivered=True, message_id="a"))
        while len(tries) < 2:
            await asyncio.sleep(0.01)
        before = await attempts(sql)
        proxy.refuse(0)
        (reply,) = [decode_reply(each) for each in (await lost).replies]
        (answer,) = told(await asked(worker.pipeline, look(request_id, attempt=2), redelivered=False, message_id="b"))

    assert (before, await attempts(sql)) == ({}, {request_id: 1})
    assert reply["details"] == {"reason": "redelivered", "noted": True}
    assert answer["account_id"] == "a-1"


async def test_a_lost_read_whose_loss_cannot_be_noted_is_answered_while_it_has_time(settings, postgres_url, account):
    async with proxied(postgres_url) as (proxy, url), local_worker(url, [accounts_family], settings=settings) as worker:
        proxy.refuse()
        read = line(uuid4(), "accounts.get_account", {"account_id": "a-1"}, left_s=2)

        (reply,) = (await asked(worker.pipeline, read, redelivered=True, message_id="a")).replies

    assert decode_reply(reply)["details"] == {"reason": "redelivered", "noted": False}


async def test_a_read_that_was_lost_three_times_and_never_in_a_run_that_decides_runs_when_it_is_sent_anew(
    pipeline, account
):
    request_id = uuid4()
    for message_id in ("a", "b", "c"):
        await asked(pipeline, look(request_id), redelivered=True, message_id=message_id)

    (answer,) = told(await asked(pipeline, look(request_id, attempt=4), redelivered=False, message_id="d"))

    assert answer["account_id"] == "a-1"


async def test_a_read_sent_anew_is_noted_while_it_runs_if_a_worker_was_lost_with_it(pipeline, account, sql):
    request_id = uuid4()
    running = "select running <> '{}' from rowcall.attempts"
    await asked(pipeline, look(request_id), redelivered=True, message_id="a")
    async with sql.transaction():
        await sql.execute("lock table accounts.accounts")
        answering = asyncio.create_task(asked(pipeline, look(request_id, attempt=2), redelivered=False, message_id="b"))
        while not await sql.fetchval(running):
            await asyncio.sleep(0.01)

    (answer,) = told(await answering)
    assert answer["account_id"] == "a-1"
    assert not await sql.fetchval(running)
    assert await attempts(sql) == {request_id: 1}


async def test_a_read_waits_while_a_copy_of_it_may_be_the_third_to_take_a_worker_down(pipeline, account, local, sql):
    request_id = uuid4()
    for message_id in ("a", "b"):
        await asked(pipeline, look(request_id), redelivered=True, message_id=message_id)
    begin = local.served.statements["rowcall.begin_runs"]
    (row,) = await sql.fetch("select id, caller, args_hash from rowcall.attempts")
    named = {"ids": [row["id"]], "caller": row["caller"], "digests": [row["args_hash"]], "message": uuid4()}
    # of a message that is on its way back from a worker that died
    await sql.execute(begin.sql, *begin.bind({**named, "most": 3, "decides": False}))

    with capture_logs() as said:
        answering = asyncio.create_task(asked(pipeline, look(request_id, attempt=4), redelivered=False, message_id="d"))
        while not any("a copy of it is running" in entry.get("error", "") for entry in said):
            await asyncio.sleep(0.01)
        await sql.execute("update rowcall.attempts set count = 3, running = '{}'")

        assert told(await answering) == [("InternalError", "poison")]


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
