"""Calls that run together answer as they would alone, and cost as one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import AsyncAccounts
from accounts.services import family as accounts_family
from rpc_client.wire import decode_reply, encode_call
from tests.proxy import Proxy, proxied
from worker.calls import Origin
from worker.groups import PORTION_BYTES
from worker.pipeline import Pipeline
from worker.settings import WorkerSettings
from worker.testing import local_worker


def now() -> Origin:
    """A message that arrives now: nothing may run later than 300 s after its arrival."""
    return Origin("tests", "tests", None, None, redelivered=False)


ACCOUNTS = [f"a-{n}" for n in range(64)]


@pytest.fixture
async def counted(
    settings: WorkerSettings,
) -> AsyncIterator[tuple[Pipeline, Proxy]]:
    """A pipeline with one connection, through a proxy that counts; 64 accounts with 500 cents, statements prepared."""
    async with proxied(settings.postgres_url.get_secret_value()) as (proxy, url):
        one_connection = settings.model_copy(update={"pool_size": 1})
        async with local_worker(url, [accounts_family], settings=one_connection) as worker:
            pipeline, accounts = worker.pipeline, AsyncAccounts(worker.client)
            for account in ACCOUNTS:
                await accounts.open_account(account, "me")
                await accounts.deposit(account, 500)
            await accounts.get_account("a-0")
            await send(pipeline, "accounts.withdraw", [{"account_id": "a-0", "amount": 9999}], attempt=2)
            proxy.round_trips = 0
            yield pipeline, proxy


def lines(method: str, arguments: list[dict[str, Any]], ids: list[UUID] | None = None, attempt: int = 1) -> bytes:
    deadline_ms = int((time.time() + 20) * 1000)
    marked = zip(ids or [uuid4() for _ in arguments], arguments, strict=True)
    return b"\n".join(encode_call(str(i), method, orjson.dumps(a), deadline_ms, attempt) for i, a in marked)


async def send(
    pipeline: Pipeline, method: str, arguments: list[dict[str, Any]], ids: list[UUID] | None = None, attempt: int = 1
) -> list[dict[str, Any]]:
    lane = "read" if method == "accounts.get_account" else "write"
    answered = await pipeline.answer(lines(method, arguments, ids, attempt), now(), f"{lane}.{method}")
    return [decode_reply(reply) for reply in answered.replies]


async def test_sixty_four_reads_are_one_round_trip(counted):
    pipeline, proxy = counted

    replies = await send(pipeline, "accounts.get_account", [{"account_id": account} for account in ACCOUNTS])

    assert [reply["result"]["account_id"] for reply in replies] == ACCOUNTS
    assert proxy.round_trips == 1


async def test_sixty_four_writes_with_their_receipts_are_one_round_trip(counted, sql):
    pipeline, proxy = counted

    replies = await send(
        pipeline, "accounts.deposit", [{"account_id": a, "amount": n + 1} for n, a in enumerate(ACCOUNTS)]
    )

    assert [reply["result"] for reply in replies] == [501 + n for n in range(64)]
    assert proxy.round_trips == 1
    assert await sql.fetchval("select count(*) from rowcall.receipts where method = 'accounts.deposit'") == 128


async def test_absent_rows_leave_every_other_call_its_own(counted):
    pipeline, proxy = counted
    asked = [
        {"account_id": account}
        for pair in zip(ACCOUNTS[:8], [f"no-{n}" for n in range(8)], strict=True)
        for account in pair
    ]

    replies = await send(pipeline, "accounts.get_account", asked)

    assert [reply["result"] and reply["result"]["account_id"] for reply in replies] == [
        account for pair in zip(ACCOUNTS[:8], [None] * 8, strict=True) for account in pair
    ]
    assert proxy.round_trips == 1


async def test_calls_of_many_messages_that_wait_run_as_one_group(counted):
    pipeline, proxy = counted

    await asyncio.gather(*(send(pipeline, "accounts.deposit", [{"account_id": a, "amount": 1}]) for a in ACCOUNTS))

    # The first two find nobody running and run at once; the 62 that came meanwhile are the next group.
    assert proxy.round_trips == 3


async def test_one_bad_member_of_64_is_found_by_halving(counted, sql):
    pipeline, proxy = counted
    taken = uuid4()
    await send(pipeline, "accounts.deposit", [{"account_id": "a-7", "amount": 1}], [taken])
    proxy.round_trips = 0
    ids = [taken if n == 7 else uuid4() for n in range(64)]

    replies = await send(pipeline, "accounts.deposit", [{"account_id": a, "amount": 1} for a in ACCOUNTS], ids)

    assert [reply["result"] for reply in replies] == [501] * 64
    # 64 fails, then each half of the failing half, and one look at the receipt that stood in the way.
    assert proxy.round_trips == 1 + 2 * 6 + 1
    assert await sql.fetchval("select sum(balance) from accounts.accounts") == 64 * 501


async def test_after_a_reconnect_what_had_committed_is_answered_and_not_run_again(counted, sql):
    pipeline, proxy = counted
    ids, calls = [uuid4() for _ in ACCOUNTS], [{"account_id": account, "amount": 5} for account in ACCOUNTS]
    first = await send(pipeline, "accounts.deposit", calls, ids)
    proxy.round_trips = 0

    again = await send(pipeline, "accounts.deposit", calls, ids, attempt=2)

    assert again == first
    assert proxy.round_trips == 1
    assert await sql.fetchval("select sum(balance) from accounts.accounts") == 64 * 505


async def test_equal_ids_in_one_message_run_once_and_get_equal_replies(counted, sql):
    pipeline, _ = counted
    ids = [uuid4()] * 3

    same = await send(pipeline, "accounts.deposit", [{"account_id": "a-0", "amount": 5}] * 3, ids)
    other = await send(
        pipeline, "accounts.deposit", [{"account_id": "a-0", "amount": n} for n in (7, 8)], [uuid4()] * 2
    )

    assert [reply["result"] for reply in same] == [505] * 3
    assert [other[0]["result"], other[1]["error"]] == [512, "IdempotencyKeyReused"]
    assert await sql.fetchval("select balance from accounts.accounts where account_id = 'a-0'") == 512


async def test_groups_in_opposite_order_do_not_deadlock_each_other(local, settings, accounts, sql):
    for account in ACCOUNTS[:16]:
        await accounts.open_account(account, "me")
    ids = [uuid4() for _ in range(16)]
    calls = [{"account_id": account, "amount": 1} for account in ACCOUNTS[:16]]
    url = settings.postgres_url.get_secret_value()

    async with local_worker(url, [accounts_family], settings=settings) as other:
        for _ in range(5):
            await asyncio.gather(
                send(local.pipeline, "accounts.deposit", calls, ids),
                send(other.pipeline, "accounts.deposit", calls[::-1], ids[::-1]),
            )

    assert await sql.fetchval("select sum(balance) from accounts.accounts") == 16
    assert await sql.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == 0


spends = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400)), min_size=2, max_size=24)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(spends=spends)
async def test_a_group_gives_what_its_calls_give_singly(spends, pipeline, accounts, sql):
    """The same results, errors and rows, apart from times and generated ids; in the order in which a group locks."""
    run = uuid4().hex[:8]
    ids = sorted((uuid4() for _ in spends), key=lambda request_id: request_id.bytes)
    for way in ("alone", "together"):
        for n in range(4):
            await accounts.open_account(f"{run}-{way}-{n}", "me")
            await accounts.deposit(f"{run}-{way}-{n}", 1000)

    def calls(way: str) -> list[dict[str, Any]]:
        return [{"account_id": f"{run}-{way}-{n}", "amount": amount} for n, amount in spends]

    alone = [(await send(pipeline, "accounts.withdraw", [call]))[0] for call in calls("alone")]
    together = await send(pipeline, "accounts.withdraw", calls("together"), ids)

    def shown(reply: dict[str, Any]) -> Any:
        return reply.get("result", (reply.get("error"), reply.get("details")))

    rows = "select amount, balance from accounts.entries where account_id like $1 order by account_id, entry_id"
    assert [shown(reply) for reply in together] == [shown(reply) for reply in alone]
    assert await sql.fetch(rows, f"{run}-together-%") == await sql.fetch(rows, f"{run}-alone-%")


async def test_a_method_whose_groups_keep_failing_runs_its_calls_alone_for_a_while(counted):
    pipeline, proxy = counted
    taken = [uuid4() for _ in range(8)]
    calls = [{"account_id": account, "amount": 1} for account in ACCOUNTS[:8]]
    await send(pipeline, "accounts.deposit", calls, taken)
    # Every one of them conflicts with its receipt, though nothing marks it as a repeat.
    await send(pipeline, "accounts.deposit", calls, taken)
    proxy.round_trips = 0

    await send(pipeline, "accounts.deposit", calls)

    assert proxy.round_trips == 8


async def test_large_answers_come_in_portions_as_they_are_ready(pipeline: Pipeline, accounts: AsyncAccounts):
    await accounts.open_account("a-1", "me")
    await asyncio.gather(*(accounts.deposit("a-1", 1, "x" * 200) for _ in range(200)))  # a list of them takes 60 KB

    async def ask() -> list[list[bytes]]:
        asked = lines("accounts.list_entries", [{"account_id": "a-1", "limit": 200}] * 16)
        return [part.replies async for part in pipeline.answers(asked, now(), "read.accounts.list_entries")]

    first = await ask()
    for _ in range(20):  # by now it is known what an answer takes
        parts = await ask()

    fit = PORTION_BYTES // len(first[0][0])
    assert [len(replies) for replies in first] == [16]
    assert 1 < fit < 16
    assert len(parts) == math.ceil(16 / fit)
    results = [decode_reply(reply)["result"] for replies in parts for reply in replies]
    assert results == [decode_reply(first[0][0])["result"]] * 16


async def test_portions_that_nobody_waits_for_any_more_are_given_up(pipeline: Pipeline, accounts: AsyncAccounts):
    await accounts.open_account("a-1", "me")
    await asyncio.gather(*(accounts.deposit("a-1", 1, "x" * 200) for _ in range(200)))
    asked = lines("accounts.list_entries", [{"account_id": "a-1", "limit": 200}] * 64)
    for _ in range(20):
        await pipeline.answer(asked, now(), "read.accounts.list_entries")
    before = asyncio.all_tasks()

    answers = pipeline.answers(asked, now(), "read.accounts.list_entries")
    await anext(answers)
    left = asyncio.all_tasks() - before
    await answers.aclose()
    await asyncio.wait(left, timeout=5)

    assert left
    assert any(task.cancelled() for task in left)
