"""A fence that waits, or of which nothing is heard, is asked for again, and never said not to stand."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import asyncpg

from accounts.services import family as accounts_family
from tests.proxy import proxied
from tests.services.asking import ME, asked, bury, by, letters, line, replies, state
from worker.testing import LocalWorker, local_worker


async def receipt_in_flight(sql: asyncpg.Connection, request_id: UUID) -> None:
    await sql.execute(
        "insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, outcome)"
        " values ('1970-01-01', $1, 'me', 'accounts.withdraw', '', 'infinity', '\"result\":495}')",
        request_id,
    )


async def test_a_fence_waits_for_a_commit_in_flight(local, sql):
    request_id = uuid4()
    async with sql.transaction():
        await receipt_in_flight(sql, request_id)
        fencing = asyncio.ensure_future(state(local.pipeline, request_id, fence=True))
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
