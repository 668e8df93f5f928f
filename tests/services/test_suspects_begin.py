"""When suspects begin, and beside whom: a worker's death shall be blamed on as few of them as can be."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from accounts.services import family as accounts_family
from rpc_client import turns
from tests.chaos.family import family as chaos_family
from tests.services.asking import ME, by, line
from tests.services.suspects_given import a_call, again, anew, attempts, deposit, note, told
from worker.attempts import Attempts, key_of
from worker.testing import local_worker


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


async def test_a_slow_suspect_keeps_its_turn_for_longer_than_the_others_do(settings, postgres_url, sql, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
    again = by(ME, redelivered=True)
    async with local_worker(postgres_url, [chaos_family], settings=settings) as worker:
        lingering = [line(uuid4(), "chaos.linger", {"mark": mark, "ms": 200}) for mark in ("slow", "slower")]
        async with asyncio.TaskGroup() as answering:
            for each in lingering:
                answering.create_task(worker.pipeline.answer(each, again, "write.chaos.linger"))

    first, second = await sql.fetch("select made_at from chaos.notes order by made_at")
    assert second["made_at"] - first["made_at"] >= timedelta(milliseconds=200)


async def test_a_death_beside_one_that_two_workers_were_lost_with_is_held_against_nobody_else(
    settings, postgres_url, account, sql, monkeypatch
):
    monkeypatch.setattr("worker.quiet.QUIET_S", 0.01)
    running = "select id from rowcall.attempts where running <> '{}'"
    long, suspected = uuid4(), uuid4()
    lingering = line(suspected, "chaos.linger", {"mark": "m", "ms": 300})
    await note(sql, suspected, 1, "chaos.linger", b'{"mark":"m","ms":300}')

    async def runs(*wanted: UUID) -> None:
        async with asyncio.timeout(10):
            while {row["id"] for row in await sql.fetch(running)} != set(wanted):
                await asyncio.sleep(0.01)

    async with local_worker(postgres_url, [accounts_family, chaos_family], settings=settings) as worker:
        async with sql.transaction():
            await sql.execute("select from accounts.accounts for update")
            waiting = asyncio.create_task(again(worker.pipeline, deposit(long)))
            await runs(long)
            deciding = asyncio.create_task(
                worker.pipeline.answer(lingering, by(ME, redelivered=True, message_id="m"), "write.chaos.linger")
            )
            await runs(suspected)
            assert told(await deciding) == [1]
            await runs(long, suspected)  # a write that succeeded stays noted: its receipt tells
        assert told(await waiting) == [5]


async def test_what_is_sent_anew_is_not_noted_while_another_decides(settings, postgres_url, account, sql):
    decides, anew_id = uuid4(), uuid4()
    await note(sql, decides, 1, "chaos.linger", b'{"mark":"m","ms":300}')
    lingering = line(decides, "chaos.linger", {"mark": "m", "ms": 300})
    async with local_worker(postgres_url, [accounts_family, chaos_family], settings=settings) as worker:
        deciding = asyncio.create_task(
            worker.pipeline.answer(lingering, by(ME, redelivered=True, message_id="m"), "write.chaos.linger")
        )
        async with asyncio.timeout(10):
            while not await sql.fetchval("select exists (select from rowcall.attempts where deciding <> '{}')"):
                await asyncio.sleep(0.01)
        assert told(await anew(worker.pipeline, deposit(anew_id, attempt=2), message_id="b")) == [5]
        assert told(await deciding) == [1]

    waited = "select (select at from rowcall.attempts where id = $1) - (select made_at from chaos.notes)"
    assert await sql.fetchval(waited, anew_id) >= timedelta(milliseconds=300)


@pytest.mark.parametrize("losses", [0, 1])
async def test_a_suspect_that_has_run_for_a_while_is_acquitted(pipeline, account, sql, monkeypatch, losses):
    monkeypatch.setattr("worker.here.LONG_S", 0.05)
    request_id = uuid4()
    await note(sql, request_id, losses)
    async with sql.transaction():
        await sql.execute("select from accounts.accounts for update")
        answering = asyncio.create_task(again(pipeline, deposit(request_id)))
        async with asyncio.timeout(10):
            while not await sql.fetchval("select acquitted <> '{}' from rowcall.attempts"):
                await asyncio.sleep(0.01)

    assert told(await answering) == [5]
    assert await attempts(sql) == {request_id: losses + 1}


async def test_a_loss_after_it_was_acquitted_does_not_count_twice_and_copies_wait_all_the_same(local, settings, sql):
    call, noted = a_call(local, settings, "m"), Attempts(local.database, local.served.statements)
    copy, counts = replace(call, message_id="copy"), []
    for _ in range(3):
        await noted.begin([call], timeout_s=5)
        await noted.acquit([call])
        acquitted = await sql.fetchval("select acquitted <> '{}' from rowcall.attempts")
        (losses,) = (await noted.lost([call], timeout_s=5)).values()
        counts.append((acquitted, losses))
    await noted.begin([call], timeout_s=5)

    assert counts == [(True, 0), (True, 0), (False, 1)]
    assert (await noted.begin([copy], timeout_s=5))[key_of(call)] == (1, 1)


async def test_two_losses_are_forgiven_and_no_more_however_many_copies_run(local, settings, sql):
    noted = Attempts(local.database, local.served.statements)
    copies = [a_call(local, settings, message_id) for message_id in "ab"]
    for copy in copies:
        await noted.begin([copy], timeout_s=5)
    await sql.execute("update rowcall.attempts set forgiven = 1")
    for copy in copies:
        await noted.acquit([copy])
    counts = [tuple((await noted.lost([copy], timeout_s=5)).values()) for copy in copies]

    assert counts == [(0,), (1,)]
    assert await sql.fetchval("select forgiven from rowcall.attempts") == 2


async def test_acquitting_what_runs_no_more_changes_nothing(local, settings, sql):
    call, noted = a_call(local, settings, "m"), Attempts(local.database, local.served.statements)
    await noted.begin([call], timeout_s=5)
    await noted.end([call])
    await noted.acquit([call])

    assert await sql.fetchval("select running = '{}' and acquitted = '{}' from rowcall.attempts")


async def test_a_call_is_not_condemned_for_a_run_that_began_before_two_workers_were_lost(
    pipeline, account, local, settings, sql
):
    request_id = uuid4()
    call = replace(a_call(local, settings, "m"), id=str(request_id))
    await Attempts(local.database, local.served.statements).begin([call], timeout_s=5)
    await sql.execute("update rowcall.attempts set count = 2")  # with its copies, while it ran

    assert told(await again(pipeline, deposit(request_id), message_id="m")) == [5]
    assert await attempts(sql) == {request_id: 2}


async def test_a_third_loss_counts_once_a_worker_was_lost_with_a_run_that_decides(local, settings, sql):
    noted = Attempts(local.database, local.served.statements)
    first, second, third = (a_call(local, settings, message_id) for message_id in "abc")
    counts = []
    for call, decides in ((first, False), (second, True)):
        await noted.begin([call], timeout_s=5, decides=decides)
    for call in (first, second, third):
        counts += (await noted.lost([call], timeout_s=5)).values()

    assert counts == [1, 2, 3]


async def test_a_run_that_decided_and_ended_or_was_acquitted_decides_no_more(local, settings, sql):
    noted = Attempts(local.database, local.served.statements)
    call = a_call(local, settings, "m")
    for over in (noted.end, noted.acquit):
        await noted.begin([call], timeout_s=5, decides=True)
        await over([call])
        await noted.lost([call], timeout_s=5)

    assert not await sql.fetchval("select decided from rowcall.attempts")


async def test_a_message_that_nobody_has_heard_of_counts_beside_a_copy_that_runs(local, settings, sql):
    noted = Attempts(local.database, local.served.statements)
    second, third = (replace(a_call(local, settings, str(number)), attempt=number) for number in (2, 3))

    assert (await noted.begin([second], timeout_s=5))[key_of(second)] == (0, 0)
    assert (await noted.begin([third], timeout_s=5))[key_of(third)] == (0, 2)


async def test_a_message_that_nobody_has_heard_of_counts_where_workers_were_lost(pipeline, account, sql):
    request_id = uuid4()
    await note(sql, request_id, 2)
    with capture_logs() as said:
        waiting = asyncio.create_task(anew(pipeline, deposit(request_id, attempt=2), message_id="second"))
        while not any("a copy of it is running" in entry.get("error", "") for entry in said):
            await asyncio.sleep(0.01)
        before = await sql.fetchval("select count(*) from accounts.entries")
        await pipeline.answer(deposit(request_id), by(ME, message_id="first"), "write.accounts.deposit")

    assert told(await waiting) == [5]
    assert before == 0
    assert await sql.fetchval("select count(*) from accounts.entries") == 1


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
