"""``rotate`` and ``rotate_rows``: all that is sealed, sealed with the newest key, while workers go on writing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.keys import KeyRing, StrictKeyRing, UnreadableError, row_place

if TYPE_CHECKING:
    from worker.database import Database, Row
    from worker.statements import Statement

ROWS = 20
"""Read at once: a letter may be megabytes."""
STATEMENT_S = 60.0


@dataclass(slots=True)
class Rotated:
    """What became of the letters, or of a family's rows."""

    sealed: int = 0
    """Sealed anew."""
    already: int = 0
    """Left as they were: the newest key opens them."""
    unreadable: list[int | str] = field(default_factory=list)
    """Left as they were, by their numbers or keys: no key opens them."""


async def rotate(
    database: Database,
    statements: Mapping[str, Statement],
    keys: KeyRing,
    *,
    progress: Callable[[int, int], None],
) -> Rotated:
    """Seal every letter with the newest key. Broken off anywhere and begun again, it comes to the same.

    Args:
        progress: told after every few letters how far it is: a number, and the last number there is.
    """
    rotated, after = Rotated(), 0
    listing = statements["rowcall.list_sealed"]
    while rows := await database.fetch(
        listing.sql, [listing.bind({"after": after, "rows": ROWS})], timeout_s=STATEMENT_S
    ):
        for row in rows:
            if not await _renew(row, database, statements, keys, rotated):
                break  # it was renewed meanwhile: read again from here
            after = row["number"]
        progress(after, rows[0]["last"])
    return rotated


async def _renew(
    row: Row, database: Database, statements: Mapping[str, Statement], keys: KeyRing, rotated: Rotated
) -> bool:
    """Whether this letter is done with."""
    try:
        body = keys.renewed(row["body"], place=f"letter/{row['id']}")
        traceback = keys.renewed(row["traceback"], place=f"traceback/{row['id']}")
    except UnreadableError:
        rotated.unreadable.append(row["number"])
        return True
    if body == row["body"] and traceback == row["traceback"]:
        rotated.already += 1
        return True
    reseal = statements["rowcall.reseal_dead_letter"]
    old = {"number": row["number"], "old_body": row["body"], "old_traceback": row["traceback"]}
    async with database.connection(STATEMENT_S) as connection:
        tag = await connection.execute(reseal.sql, *reseal.bind({**old, "body": body, "traceback": traceback}))
    done = tag == "UPDATE 1"
    rotated.sealed += done
    return done


async def rotate_rows(
    database: Database,
    statements: Mapping[str, Statement],
    family: str,
    name: str,
    keys: StrictKeyRing,
    *,
    progress: Callable[[int], None],
) -> Rotated:
    """Seal every row of what a family keeps sealed under this name with the newest key. As ``rotate``.

    Args:
        statements: the family's own.
        progress: told after every few rows how many are done with.
    """
    rotated, after, done = Rotated(), "", 0
    listing, reseal = (statements[f"{family}.{verb}_{name}"] for verb in ("list", "reseal"))
    while rows := await database.fetch(
        listing.sql, [listing.bind({"after": after, "rows": ROWS})], timeout_s=STATEMENT_S
    ):
        for row in rows:
            if not await _renew_row(row, database, reseal, row_place(name, row["key"]), keys, rotated):
                break  # it changed meanwhile: read again from here
            after, done = row["key"], done + 1
        progress(done)
    return rotated


async def _renew_row(
    row: Row, database: Database, reseal: Statement, place: str, keys: StrictKeyRing, rotated: Rotated
) -> bool:
    """Whether this row is done with."""
    try:
        sealed = keys.renewed(row["sealed"].encode(), place=place).decode()
    except UnreadableError:
        rotated.unreadable.append(row["key"])
        return True
    if sealed == row["sealed"]:
        rotated.already += 1
        return True
    values = reseal.bind({"key": row["key"], "sealed": sealed, "old": row["sealed"]})
    async with database.connection(STATEMENT_S) as connection:
        done = await connection.execute(reseal.sql, *values) == "UPDATE 1"
    rotated.sealed += done
    return done
