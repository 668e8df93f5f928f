"""``Shelf``: dead letters as rows. Everything that is done to one is written down in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any
from uuid import UUID

from worker.connections import Connection
from worker.database import Database, Row
from worker.desk.records import Deed, DeskError, Filter, Group, Letter
from worker.receipts import FENCE, FENCED
from worker.statements import Statement

STATEMENT_S = 60.0
_COLUMNS = [field.name for field in fields(Letter)]
_LIKE = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_", "*": "%", "?": "_"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter with what of it is sealed."""

    letter: Letter
    args_hash: bytes
    routing_key: str
    body: bytes
    traceback: bytes
    heir: int | None
    """The letter that took its place."""

    @property
    def run_id(self) -> UUID:
        """The id it is known under when it is replayed."""
        return self.letter.replay_id or self.letter.id


@dataclass(frozen=True, slots=True)
class Stands:
    """What stands under the id of a letter."""

    same_call: bool
    """Whether it is of this caller and with these arguments."""
    fence: str | None
    """The outcome, where that says that the id may never run."""
    word: str


class Shelf:
    """Finds, reads and changes rows."""

    def __init__(self, database: Database, statements: Mapping[str, Statement], actor: str) -> None:
        self._database = database
        self._statements = statements
        self._actor = actor

    async def find(self, wanted: Filter) -> list[int]:
        """The numbers of the letters to which all but the filter's text applies, oldest first."""
        given = {field.name: getattr(wanted, field.name) for field in fields(Filter)}
        given["method"] = None if wanted.method is None else wanted.method.translate(_LIKE)
        return [row["number"] for row in await self._fetch("find_letters", **given)]

    async def read(self, numbers: Sequence[int]) -> list[Kept]:
        """These letters, oldest first; those that are gone are left out."""
        return [_kept(row) for row in await self._fetch("read_letters", numbers=numbers)]

    async def read_one(self, number: int) -> Kept:
        """This letter. DeskError when there is none."""
        if found := await self.read([number]):
            return found[0]
        raise DeskError(f"there is no dead letter {number}")

    async def groups(self, numbers: Sequence[int]) -> list[Group]:
        """These letters by cause, the largest group first."""
        return [Group(**dict(row)) for row in await self._fetch("group_letters", numbers=numbers)]

    async def receipts(self, numbers: Sequence[int]) -> dict[int, Stands]:
        """What stands under these letters' ids, by number."""
        rows = await self._fetch("receipts_of_letters", numbers=numbers, fence=FENCE)
        return {row["number"]: Stands(row["same_call"], row["fence"], row["word"]) for row in rows}

    async def claim(
        self, kept: Kept, *, fresh_id: UUID | None, fence: Mapping[str, object], max_replays: int
    ) -> UUID | None:
        """Note that a letter is about to be sent; the id it goes under, or None when it is not to be sent any more.

        With a fresh id, its own is replaced, so that of the two only one ever runs.
        """
        number, known_id = kept.letter.number, kept.letter.replay_id
        values = {"number": number, "known_id": known_id, "fresh_id": fresh_id, "max_replays": max_replays}
        async with self._database.connection(STATEMENT_S) as connection, connection.transaction():
            if fence and not await self._fence(connection, kept, fence):
                return None
            rows = await self._on(connection, "claim_letter", **values, actor=self._actor)
        return rows[0]["run_id"] if rows else None

    async def settle(self, number: int, *, state: str, outcome: str) -> str:
        """Note what a replay came to; the state that its receipt, or else the answer, puts it into."""
        rows = await self._fetch("settle_letter", number=number, state=state, outcome=outcome, fence=FENCE)
        return str(rows[0]["state"]) if rows else state

    async def discard(self, numbers: Sequence[int], why: str) -> list[int]:
        """Give these letters up; those that waited."""
        return [
            row["number"] for row in await self._fetch("discard_letters", numbers=numbers, why=why, actor=self._actor)
        ]

    async def deeds(self, number: int) -> list[Deed]:
        """What was done to a letter, oldest first."""
        return [Deed(**dict(row)) for row in await self._fetch("deeds_of_letter", letter=number)]

    async def note(self, action: str, **details: Any) -> None:
        """Write down what is done to many."""
        values = {"actor": self._actor, "action": action, "letter": None, "details": details}
        await self._fetch("note_deed", **values)

    async def add(self, letters: Sequence[Kept]) -> list[int | None]:
        """Keep these letters, all or none: their numbers here, None for a call that is kept already."""
        async with self._database.connection(STATEMENT_S) as connection, connection.transaction():
            numbers = [await self.add_on(connection, kept) for kept in letters]
            added = sum(number is not None for number in numbers)
            await self.note_on(connection, "import", None, letters=len(letters), added=added)
        return numbers

    async def replace(self, kept: Kept, other: Kept, fence: Mapping[str, object], changed: Sequence[str]) -> int:
        """Let another letter take the place of this one, whose id may never run any more.

        The other's number. DeskError when this one does not wait any more, or has run.
        """
        number = kept.letter.number
        async with self._database.connection(STATEMENT_S) as connection, connection.transaction():
            state = await self._on(connection, "lock_letter", number=number)
            if not state or state[0]["state"] != "open":
                raise DeskError(f"dead letter {number} is not open any more")
            if not await self._fence(connection, kept, fence):
                raise DeskError(f"dead letter {number} cannot be changed: its id has run meanwhile, or is fenced")
            heir = await self.add_on(connection, replace(other, letter=replace(other.letter, parent=number)))
            assert heir is not None, "its id is new"
            await self._on(connection, "replace_letter", number=number)
            for letter, details in ((number, {"by": heir}), (heir, {"of": number})):
                await self.note_on(connection, "change", letter, changed=list(changed), **details)
        return heir

    async def _fence(self, connection: Connection, kept: Kept, fence: Mapping[str, object]) -> bool:
        """Let the letter's id be replaced; whether it has neither run nor been fenced."""
        if fence:
            await self._on(connection, "fence_receipt", **fence)
        found = await self._on(connection, "receipts_of_letters", numbers=[kept.letter.number], fence=FENCE)
        return not found or found[0]["fence"] not in {None, FENCED}

    async def add_on(self, connection: Connection, kept: Kept) -> int | None:
        """The same for one, as part of a transaction."""
        columns = {name: getattr(kept.letter, name) for name in _COLUMNS}
        sealed = {"args_hash": kept.args_hash, "routing_key": kept.routing_key}
        rows = await self._on(connection, "add_letter", **columns, **sealed, body=kept.body, traceback=kept.traceback)
        return rows[0]["number"] if rows else None

    async def note_on(self, connection: Connection, action: str, letter: int | None, **details: Any) -> None:
        """Write down what is done, as part of a transaction."""
        await self._on(connection, "note_deed", actor=self._actor, action=action, letter=letter, details=details)

    async def _fetch(self, name: str, **values: object) -> list[Row]:
        async with self._database.connection(STATEMENT_S) as connection:
            return await self._on(connection, name, **values)

    async def _on(self, connection: Connection, name: str, **values: object) -> list[Row]:
        statement = self._statements[f"rowcall.{name}"]
        return await connection.fetch(statement.sql, *statement.bind(values), timeout=STATEMENT_S)


def _kept(row: Row) -> Kept:
    return Kept(
        Letter(**{name: row[name] for name in _COLUMNS}),
        row["args_hash"],
        row["routing_key"],
        row["body"],
        row["traceback"],
        row["heir"],
    )
