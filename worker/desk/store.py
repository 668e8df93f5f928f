"""How dead letters are kept: what of them lies in plain columns, what is sealed, and what ends them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.connections import Connection
from worker.keys import KeyRing
from worker.receipts import FENCE
from worker.statements import Statement


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """One call that failed, as its row tells it. Its method, error and traceback hold nothing secret."""

    id: str
    """A UUID in lower case: the call's request id, or one made of what its message was marked with."""
    caller: str
    args_hash: bytes
    routing_key: str
    method: str
    reason: str
    error: str
    traceback: str
    fingerprint: str
    attempts: int
    first_at: datetime
    last_at: datetime
    """When it failed. The same letter at the same moment is kept once, however often it is delivered."""
    worker: str
    body: bytes
    """Its line, as it was sent."""


async def keep(
    connection: Connection, statements: Mapping[str, Statement], keys: KeyRing, letters: Sequence[KeptLetter]
) -> None:
    """Keep these letters, all or none.

    A call that is kept already, also under another id than it was replayed under, has its attempts added up and the
    rest renewed, and waits again unless it was replaced; also where it was discarded, for its caller was told that it
    is kept. One whose id has the receipt of this very call, or anybody's fence, ends at once, as resolved or fenced.
    """
    letters = await _under_own_ids(connection, statements["rowcall.own_ids"], letters)
    # In one order everywhere, so that two who keep the same calls wait for each other, and not in a circle.
    ordered = sorted(letters, key=lambda letter: (letter.id, letter.caller, letter.args_hash))
    statement = statements["rowcall.keep_dead_letter"]
    settle = statements["rowcall.settle_dead_letters"]
    rows = [statement.bind(_columns(letter, keys)) for letter in ordered]
    async with connection.transaction():
        await connection.executemany(statement.sql, rows)
        ids = list({letter.id for letter in ordered})
        await connection.execute(settle.sql, *settle.bind({"ids": ids, "fence": FENCE}))


async def _under_own_ids(
    connection: Connection, statement: Statement, letters: Sequence[KeptLetter]
) -> list[KeptLetter]:
    """Letters under the ids they are kept by, where they were replayed under others."""
    rows = await connection.fetch(statement.sql, *statement.bind({"ids": [letter.id for letter in letters]}))
    own = {(str(row["replay_id"]), row["caller"]): str(row["id"]) for row in rows}
    return [replace(letter, id=own.get((letter.id, letter.caller), letter.id)) for letter in letters]


async def forget(
    connection: Connection, statements: Mapping[str, Statement], *, now: datetime, table_days: int
) -> None:
    """Delete the letters whose calls last failed longer ago than they are kept, settled or not."""
    delete = statements["rowcall.delete_dead_letters"]
    await connection.execute(delete.sql, *delete.bind({"before": now - timedelta(days=table_days)}))


def _columns(letter: KeptLetter, keys: KeyRing) -> dict[str, object]:
    columns: dict[str, object] = {name: getattr(letter, name) for name in KeptLetter.__slots__}
    columns["body"] = keys.seal(letter.body, place=f"letter/{letter.id}")
    columns["traceback"] = keys.seal(letter.traceback.encode(), place=f"traceback/{letter.id}")
    return columns
