"""Where dead letters are kept: one row for a call, whatever happens to it, until its id has a receipt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from worker.calls import day_of
from worker.desk.store import KeptLetter, forget, keep
from worker.keys import KeyRing, new_key
from worker.receipts import FENCED, keep_partitions
from worker.served import Served
from worker.settings import WorkerSettings

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
LETTER = KeptLetter(
    id="",
    caller="ada",
    args_hash=b"1",
    routing_key="write.accounts.deposit",
    method="accounts.deposit",
    reason="internal",
    error="KeyError: 'x'",
    traceback="Traceback …",
    fingerprint="0" * 12,
    attempts=1,
    first_at=AT,
    last_at=AT,
    worker="here:1",
    body=b'{"method":"accounts.deposit"}',
)


class Shelf:
    """The table of one database, and what opens it."""

    def __init__(self, sql: asyncpg.Connection, served: Served) -> None:
        self.sql = sql
        self.statements = served.statements
        self.keys = KeyRing([new_key()])

    async def keep(self, *letters: KeptLetter) -> None:
        await keep(self.sql, self.statements, self.keys, letters)

    async def rows(self) -> list[Any]:
        return await self.sql.fetch("select * from rowcall.dead_letters order by number")

    async def receipt(self, letter: KeptLetter, outcome: str, **of: object) -> None:
        of_call = {"caller": letter.caller, "args_hash": letter.args_hash, **of}
        day = day_of(letter.id, now=datetime.now(UTC).timestamp(), retention_days=7)
        await self.sql.execute(
            "insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, outcome)"
            " values ($1, $2, $3, '', $4, 'infinity', $5)",
            day,
            letter.id,
            *of_call.values(),
            outcome,
        )


@pytest.fixture
def shelf(sql: asyncpg.Connection, served: Served) -> Shelf:
    return Shelf(sql, served)


def letter(**other: object) -> KeptLetter:
    return replace(LETTER, id=str(uuid4()), **other)


def uuid7() -> str:
    """An id of this moment."""
    made = int(datetime.now(UTC).timestamp() * 1000)
    return str(UUID(int=(made << 80) | (7 << 76) | (2 << 62) | (uuid4().int & 0xFFFF)))


async def test_body_and_traceback_are_sealed_and_bound_to_their_letter(shelf: Shelf):
    kept = letter()

    await shelf.keep(kept)
    (row,) = await shelf.rows()

    assert b"deposit" not in row["body"]
    assert shelf.keys.unseal(row["body"], place=f"letter/{kept.id}") == kept.body
    assert shelf.keys.unseal(row["traceback"], place=f"traceback/{kept.id}").decode() == kept.traceback
    assert row["state"] == "open"


async def test_the_same_letter_delivered_again_changes_nothing(shelf: Shelf):
    kept = letter()
    await shelf.keep(kept)
    await shelf.sql.execute("update rowcall.dead_letters set state = 'replaying'")
    before = await shelf.rows()

    await shelf.keep(kept, kept)

    assert await shelf.rows() == before


async def test_a_call_that_fails_again_waits_again_with_what_it_failed_of(shelf: Shelf):
    kept = letter()
    await shelf.keep(kept)
    await shelf.sql.execute("update rowcall.dead_letters set state = 'replaying'")

    await shelf.keep(replace(kept, reason="poison", error="killed", attempts=3, last_at=AT + timedelta(hours=1)))
    (row,) = await shelf.rows()

    assert (row["state"], row["reason"], row["error"], row["attempts"]) == ("open", "poison", "killed", 4)
    assert (row["first_at"], row["last_at"]) == (AT, AT + timedelta(hours=1))


@pytest.mark.parametrize(("state", "afterwards"), [("discarded", "open"), ("replaced", "replaced")])
async def test_what_was_discarded_and_fails_anew_waits_again(shelf: Shelf, state: str, afterwards: str):
    """Its caller is told that it is kept for replay."""
    kept = letter()
    await shelf.keep(kept)
    await shelf.sql.execute("update rowcall.dead_letters set state = $1", state)

    await shelf.keep(replace(kept, last_at=AT + timedelta(hours=1)))

    assert [row["state"] for row in await shelf.rows()] == [afterwards]


async def test_the_same_id_of_another_caller_or_with_other_arguments_is_another_letter(shelf: Shelf):
    kept = letter()

    await shelf.keep(kept, replace(kept, caller="bob"), replace(kept, args_hash=b"2"))

    assert len(await shelf.rows()) == 3


@pytest.mark.parametrize(
    ("request_id", "outcome", "ends"),
    [
        (str(uuid4()), '"result":5}', ("resolved", "done")),
        (uuid7(), '"error":"Conflict","message":""}', ("resolved", "Conflict")),
        (uuid7(), '"error": "InsufficientCredits"}', ("resolved", "InsufficientCredits")),
        (str(uuid4()), FENCED, ("fenced", "Conflict")),
    ],
    ids=["a result", "an error", "an error of one statement", "a fence"],
)
async def test_a_letter_whose_id_has_a_receipt_ends_at_once(shelf: Shelf, request_id: str, outcome: str, ends: Any):
    kept = replace(LETTER, id=request_id)
    await shelf.receipt(kept, outcome)

    await shelf.keep(kept)
    (row,) = await shelf.rows()

    assert (row["state"], row["outcome"]) == ends


@pytest.mark.parametrize("other", [{"caller": "bob"}, {"args_hash": b"2"}], ids=["caller", "arguments"])
async def test_another_call_s_receipt_ends_nothing(shelf: Shelf, settings: WorkerSettings, other: dict[str, object]):
    kept = letter()
    await shelf.receipt(kept, '"result":5}', **other)

    await shelf.keep(kept)
    await keep_partitions(shelf.sql, shelf.statements, now=datetime.now(UTC), retention_days=settings.retention_days)

    assert [row["state"] for row in await shelf.rows()] == ["open"]


async def test_anybody_s_fence_ends_a_letter(shelf: Shelf):
    """An operator's stands under the operator's name."""
    kept = letter()
    await shelf.receipt(kept, FENCED, caller="an operator", args_hash=b"2")

    await shelf.keep(kept)

    assert [row["state"] for row in await shelf.rows()] == ["fenced"]


async def test_a_letter_ends_before_the_receipt_that_says_so_is_forgotten(shelf: Shelf, settings: WorkerSettings):
    kept = letter()
    await shelf.keep(kept)
    await shelf.receipt(kept, '"result":5}')
    late = datetime.now(UTC) + timedelta(days=settings.retention_days + 2)

    await keep_partitions(shelf.sql, shelf.statements, now=late, retention_days=settings.retention_days)

    assert await shelf.sql.fetchval("select count(*) from rowcall.receipts") == 0
    assert [row["state"] for row in await shelf.rows()] == ["resolved"]


async def test_letters_are_forgotten_by_the_moment_their_call_last_failed(shelf: Shelf):
    old, failed_again = letter(), letter()
    await shelf.keep(old, failed_again)
    await shelf.keep(replace(failed_again, last_at=AT + timedelta(days=60)))

    await forget(shelf.sql, shelf.statements, now=AT + timedelta(days=91), table_days=90)

    assert [str(row["id"]) for row in await shelf.rows()] == [failed_again.id]
