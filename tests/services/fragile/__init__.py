"""A family whose bugs are rows: they are there while their rows are, and mended when these are deleted."""

from __future__ import annotations

from pathlib import Path

from rpc_client.contract import EventData, Service, write
from rpc_client.errors import Conflict, NotFoundError
from worker.database import Transaction
from worker.registry import Family, Registry


class Worked(EventData, aggregate="key"):
    """A key was noted."""

    times: int


class Fragile(Service, name="fragile"):
    """Work that may meet a bug."""

    @write(raises=[Conflict], emits=[Worked])
    async def work(self, key: str, kind: str) -> int:
        """Note the key and return how often it has been noted. Raises Conflict for the kind `refused`. Emits Worked."""

    @write(emits=[Worked])
    async def store(self, key: str, amount: int) -> int:
        """Note the key too, by way of SQL that trips over a constraint while it is there. Emits Worked."""


def divide(key: str) -> float:
    return len(key) / 0


def look_up(key: str) -> str:
    return {"known": ""}[key]


def convert(key: str) -> int:
    return int(f"<{key}>")


def undeclared(key: str) -> None:
    raise NotFoundError(f"{key} is not there, which the contract does not say")


BUGS = {"divide": divide, "look_up": look_up, "convert": convert, "undeclared": undeclared}

fragile = Registry(Fragile)


@fragile.implements(Fragile.work)
async def work(tx: Transaction, key: str, kind: str) -> int:
    if await tx.value(bool, "fragile.has_bug", kind=kind):
        BUGS[kind](key)
    if kind == "refused":
        raise Conflict(f"{key} is refused")
    times = await tx.value(int, "fragile.note", key=key)
    tx.emit(key, Worked(times=times))
    return times


@fragile.implements(Fragile.store)
async def store(tx: Transaction, key: str, amount: int) -> int:
    if await tx.value(bool, "fragile.has_bug", kind="store"):
        await tx.run("fragile.trip", amount=amount)
    times = await tx.value(int, "fragile.note", key=key)
    tx.emit(key, Worked(times=times))
    return times


family = Family(fragile, sql=Path(__file__).parent / "sql")
