"""What the benchmark asks, of Rowcall and of everybody else."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rpc_client.contract import AsyncService, Record, Service, SyncService, Timestamp, read, write
from rpc_client.errors import NotFoundError

Amount = Annotated[int, Field(gt=0, le=10**9)]


class User(Record):
    """A row of ten columns."""

    user_id: int
    name: str
    email: str
    city: str
    country: str
    balance: int
    visits: int
    active: bool
    created_at: Timestamp
    seen_at: Timestamp | None = None


class Item(Record):
    """A row of fifteen columns."""

    item_id: int
    group_id: int
    title: str
    body: str
    state: str
    owner: str
    reviewer: str | None = None
    position: int
    price: int
    stock: int
    weight: int
    listed: bool
    archived: bool
    created_at: Timestamp
    changed_at: Timestamp


class Bench(Service, name="bench"):
    """One method of each kind."""

    @read
    async def noop(self) -> int:
        """The number 1, by the smallest statement there is."""
        ...

    @read
    async def read_user(self, user_id: int) -> User | None:
        """One row by its key; None when there is none."""
        ...

    @write(locks="user_id", raises=[NotFoundError], emits=[])
    async def write(self, user_id: int, amount: Amount) -> int:
        """Add `amount` to a balance, note it in the ledger, and return the new balance. Raises NotFoundError."""
        ...

    @read
    async def list_rows(self, group_id: int) -> list[Item]:
        """The fifty rows of a group, in the order of their positions."""
        ...

    @read(slow=True)
    async def slow(self) -> int:
        """The number 1, after 20 ms in the database."""
        ...


class AsyncBench(Bench, AsyncService):
    """Every method as an ``async def``."""


class SyncBench(Bench, SyncService):
    """Every method as a plain ``def``."""
