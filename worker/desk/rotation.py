"""``rotate``: every dead letter sealed with the newest key, while workers go on keeping others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.keys import KeyRing, UnreadableError

if TYPE_CHECKING:
    from worker.database import Database, Row
    from worker.statements import Statement

ROWS = 20
"""Read at once: a letter may be megabytes."""
STATEMENT_S = 60.0


@dataclass(slots=True)
class Rotated:
    """What became of the letters."""

    sealed: int = 0
    """Sealed anew."""
    already: int = 0
    """Left as they were: the newest key opens them."""
    unreadable: list[int] = field(default_factory=list)
    """Left as they were, by their numbers: no key opens them."""


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
