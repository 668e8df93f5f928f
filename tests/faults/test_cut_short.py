"""What is cut in the middle: a reply by the death of its worker, a commit by the network, in both directions."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import orjson
import pytest

from accounts import AsyncAccounts
from accounts.services import family as accounts_family
from rpc_client.wire import decode_reply, encode_call
from tests.faults.crash_scene import ACCOUNTS, GATE, GATES, LIFE_S, OPENING, PATIENCE_S, WAITS, Work, died, work_of
from tests.proxy import Proxy, proxied
from worker.calls import Origin
from worker.pipeline import Pipeline
from worker.testing import local_worker

ENTRIES, LISTS = 1000, 20
MANY_ENTRIES = """
insert into accounts.entries (account_id, amount, balance, note)
select 'a-1', 1, n, repeat('x', 200) from generate_series(1, $1::int) as n
"""


@pytest.fixture(autouse=True)
async def money(sql) -> None:
    await sql.executemany(
        "insert into accounts.accounts (account_id, owner, balance) values ($1, 'me', $2)",
        [(account, OPENING) for account in ACCOUNTS],
    )


@pytest.mark.timeout(240)
async def test_a_worker_killed_in_the_middle_of_a_large_reply_leaves_its_caller_a_whole_one(
    settings, start_worker, client, sql
):
    await sql.execute(MANY_ENTRIES, ENTRIES)
    async with proxied(settings.amqp_urls[0]) as (proxy, url):
        victim = await start_worker(ROWCALL_TEST_HOOKS="1", ROWCALL_CRASH_AT="K8", ROWCALL_AMQP_URL=url)
        proxy.sent.clear()
        proxy.hold(answers=False)  # no more leaves the worker than its system takes from it at once
        accounts = AsyncAccounts(client.with_options(timeout_s=PATIENCE_S))
        asked = asyncio.gather(*(accounts.list_entries("a-1", ENTRIES) for _ in range(LISTS)))
        await died(victim, "K8")
        proxy.release()
        while proxy.open:
            await asyncio.sleep(0.01)
        left = bytes(proxy.sent)
    await start_worker()

    lists = await asked

    assert 0 < left.count(b'"entry_id"') < ENTRIES * LISTS
    assert [[entry.balance for entry in entries] for entries in lists] == [list(range(ENTRIES, 0, -1))] * LISTS


async def in_one_message(work: Sequence[Work], pipeline: Pipeline) -> list[int]:
    """What each comes to; all of them in hand at once, as one group where they may be."""
    deadline_ms = int((time.time() + LIFE_S) * 1000)
    method = f"accounts.{work[0].method}"
    arguments = [orjson.dumps({**each.arguments, "note": str(each.id)}) for each in work]
    lines = [encode_call(str(work[n].id), method, text, deadline_ms, 1) for n, text in enumerate(arguments)]
    answered = await pipeline.answer(
        b"\n".join(lines), Origin("tests", "tests", None, None, redelivered=False), f"write.{method}"
    )
    return [decode_reply(reply)["result"] for reply in answered.replies]


async def lose_the_request(proxy: Proxy, mark: bytes) -> None:
    """Cut the connection once the worker has said this, of which nothing arrived."""
    while mark not in proxy.sent:
        await asyncio.sleep(0.005)
    proxy.swallow(b"nothing that anybody says")
    proxy.cut()


async def lose_the_answer(proxy: Proxy, sql) -> None:
    """Let it commit, and cut the connection in place of saying so."""
    while await sql.fetchval(f"{WAITS} and wait_event = 'advisory'") == 0:
        await asyncio.sleep(0.005)
    proxy.lose_answer()
    await sql.execute("select pg_advisory_unlock(77)")


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("kind", ["statement", "story", "group"])
async def test_a_commit_cut_off_in_either_direction_is_no_error_and_happens_once(settings, sql, kind, lost):
    work = work_of(kind)
    mark = b"COMMIT" if kind == "story" else str(work[0].id).encode()
    async with (
        proxied(settings.postgres_url.get_secret_value()) as (proxy, url),
        local_worker(url, [accounts_family], settings=settings) as worker,
        asyncio.timeout(PATIENCE_S),
    ):
        if lost == "request":
            proxy.sent.clear()
            proxy.swallow(mark)
            cutting = lose_the_request(proxy, mark)
        else:
            await sql.execute(GATE + GATES["commit"])
            await sql.execute("select pg_advisory_lock(77)")
            cutting = lose_the_answer(proxy, sql)

        answers, _ = await asyncio.gather(in_one_message(work, worker.pipeline), cutting)

    booked = await sql.fetch("select note, account_id, amount, balance from accounts.entries")
    wanted = [(str(each.id), *booking) for each in work for booking in each.bookings]
    assert Counter((row["note"], row["account_id"], row["amount"]) for row in booked) == Counter(wanted)
    left = {(row["note"], row["account_id"]): row["balance"] for row in booked}
    assert answers == [left[str(each.id), each.bookings[0][0]] for each in work]
    assert await sql.fetchval("select count(*) from rowcall.receipts") == len(work)
