"""A family that takes and gives what ours do not: every type, no bounds, and answers that cannot be written."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from rpc_client.contract import Service, Timestamp, read, write
from worker.database import Session, Transaction
from worker.registry import Family, Registry


class Odd(Service, name="odd"):
    """One method for each kind of trouble."""

    @read
    async def get_moment(self, moment: Timestamp) -> Timestamp:
        """The moment itself."""

    @read
    async def get_uuid(self, thing: UUID) -> UUID:
        """The UUID itself."""

    @read
    async def get_text(self, words: str) -> str:
        """The text itself."""

    @read
    async def get_value(self, given: Any) -> Any:
        """The value itself, by way of jsonb."""

    @read
    async def get_ratio(self, ratio: float) -> str:
        """The number, as PostgreSQL writes it."""

    @read
    async def get_small(self, number: int) -> int:
        """The number itself. The contract forgets to bound it."""

    @read
    async def count_names(self, names: Annotated[list[str], Field(max_length=1000)]) -> int:
        """How many names there are."""

    @read
    async def count_cells(self, rows: list[list[int]]) -> int:
        """How many cells all rows have."""

    @read
    async def get_letters(self, letters: int) -> str:
        """So many letters."""

    @read(slow=True)
    async def wait(self, wait_s: int) -> str:
        """Wait so many seconds."""

    @read
    async def get_ancient(self) -> Timestamp:
        """A moment that Python cannot hold."""

    @write(emits=[])
    async def keep_note(self, note: str, copies: int) -> str:
        """Keep a note; the answer repeats it so many times."""

    @write(emits=[])
    async def keep_and_answer(self, note: str, kind: str) -> Any:
        """Keep a note, and answer something that cannot be written."""


LOOP: list[Any] = []
LOOP.append(LOOP)
ANSWERS: dict[str, Any] = {
    "nan": {"n": float("nan")},
    "surrogate": "\ud800",
    "bytes": b"\xff",
    "object": object(),
    "loop": LOOP,
    "large": "x" * 300_000,
}

odd = Registry(Odd)
odd.direct(
    Odd.get_moment,
    Odd.get_uuid,
    Odd.get_text,
    Odd.get_value,
    Odd.get_ratio,
    Odd.get_small,
    Odd.count_names,
    Odd.count_cells,
    Odd.get_letters,
    Odd.wait,
    Odd.keep_note,
)


@odd.implements(Odd.get_ancient)
async def get_ancient(db: Session) -> datetime:
    return await db.value(datetime, "odd.find_ancient")


@odd.implements(Odd.keep_and_answer)
async def keep_and_answer(tx: Transaction, note: str, kind: str) -> Any:
    await tx.run("odd.insert_note", note=note)
    return ANSWERS[kind]


family = Family(odd, sql=Path(__file__).parent / "sql")
