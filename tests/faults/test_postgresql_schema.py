"""What calls see of a schema that changes under them."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from accounts import AsyncAccounts
from rpc_client.errors import Unavailable
from tests.faults.patient import AsyncPatient
from tests.faults.serving import POOL, Callers, deposited

ROUNDS = 2
CHANGES = [
    "create type public.mood_{n} as enum ('good', 'bad')",
    "alter table accounts.accounts add column mood_{n} public.mood_{n} not null default 'good'",
    "alter table patient.notes alter column times type bigint",
    "alter table accounts.entries add column mood_{n} public.mood_{n}",
    "alter table patient.notes alter column times type integer",
    "alter table accounts.accounts drop column mood_{n}",
    "alter table accounts.entries drop column mood_{n}",
    "drop type public.mood_{n}",
]


async def test_changes_of_the_schema_under_load_fail_no_call(on_own, stranger):
    patient, accounts = AsyncPatient(on_own.client), AsyncAccounts(on_own.client)
    with structlog.testing.capture_logs() as logs:
        async with Callers(on_own).calling() as callers:
            for n in range(ROUNDS):
                for change in CHANGES:
                    await stranger.execute(change.format(n=n))
                    await callers.more(2)
                    await asyncio.gather(
                        patient.note("k-1"), patient.note_both("k-2", "k-3", 0), accounts.get_account("a-1")
                    )

    assert callers.failed == []
    assert await deposited(stranger) == (callers.good, callers.good)
    rounds = ROUNDS * len(CHANGES)
    assert await stranger.fetch("select times from patient.notes") == [(rounds,)] * 3
    assert any("InvalidCachedStatementError" in line.get("error", "") for line in logs)


@pytest.mark.parametrize("method", ["note", "note_both"])
async def test_a_column_that_is_gone_makes_calls_unavailable_and_no_dead_letters(on_own, stranger, method):
    patient = AsyncPatient(on_own.client)
    arguments = ("k-1",) if method == "note" else ("k-1", "k-1", 0)
    await getattr(patient, method)(*arguments)
    before = await stranger.fetchval("select times from patient.notes")

    await stranger.execute("alter table patient.notes rename column times to often")
    with pytest.raises(Unavailable, match="schema has changed"):
        await getattr(patient, method)(*arguments)
    await stranger.execute("alter table patient.notes rename column often to times")

    assert await getattr(patient, method)(*arguments) == 2 * before
    assert on_own.dead_letters == []


async def test_a_group_that_meets_a_schema_it_does_not_know_is_not_taken_apart(on_own, stranger):
    accounts = AsyncAccounts(on_own.client)
    await stranger.execute("alter table accounts.entries rename column note to remark")

    with structlog.testing.capture_logs() as logs:
        answers = await asyncio.gather(*(accounts.deposit("a-1", 1) for _ in range(8 * POOL)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {Unavailable}
    told = [line for line in logs if line["event"] == "the schema is not the one that this worker was started with"]
    assert len(told) < len(answers)
