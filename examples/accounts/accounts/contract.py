"""What anybody may ask of accounts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rpc_client.contract import AsyncService, EventData, Record, Service, SyncService, Timestamp, read, write
from rpc_client.errors import Conflict, InsufficientCredits, NotFoundError

AccountId = Annotated[str, Field(min_length=1, max_length=64)]
Cents = Annotated[int, Field(gt=0, le=10**12)]
Note = Annotated[str, Field(max_length=200)]


class Account(Record):
    """An account as it stands."""

    account_id: str
    owner: str
    balance: int
    """Cents; never negative."""
    opened_at: Timestamp


class Entry(Record):
    """One line of an account's ledger."""

    entry_id: int
    account_id: str
    amount: int
    """Cents; negative when they left the account."""
    balance: int
    """What was left after it."""
    note: str
    made_at: Timestamp


class AccountOpened(EventData, aggregate="account"):
    """An account was opened, with nothing in it."""

    owner: str


class Deposited(EventData, aggregate="account"):
    """Money was put into an account."""

    amount: int
    """Cents."""
    balance: int
    """Cents that are in it now."""


class Withdrawn(EventData, aggregate="account"):
    """Money was taken out of an account."""

    amount: int
    """Cents."""
    balance: int
    """Cents that are left in it."""


class Accounts(Service, name="accounts"):
    """Money in integer cents, moved exactly once."""

    @read
    async def get_account(self, account_id: AccountId) -> Account | None:
        """The account, or None when there is none of this id."""
        ...

    @read
    async def list_entries(
        self, account_id: AccountId, limit: Annotated[int, Field(ge=1, le=1000)] = 50
    ) -> list[Entry]:
        """The ledger of an account, newest first; empty for an unknown account."""
        ...

    @write(locks="account_id", raises=[Conflict], emits=[AccountOpened])
    async def open_account(self, account_id: AccountId, owner: Annotated[str, Field(max_length=200)]) -> Account:
        """Open an account with nothing in it. Raises Conflict when the id is taken. Emits AccountOpened."""
        ...

    @write(locks="account_id", raises=[NotFoundError], emits=[Deposited])
    async def deposit(self, account_id: AccountId, amount: Cents, note: Note = "") -> int:
        """Put `amount` in and return the new balance. Raises NotFoundError. Emits Deposited."""
        ...

    @write(locks="account_id", raises=[NotFoundError, InsufficientCredits], emits=[Withdrawn])
    async def withdraw(self, account_id: AccountId, amount: Cents, note: Note = "") -> int:
        """Take `amount` out and return the new balance. Raises NotFoundError, InsufficientCredits. Emits Withdrawn."""
        ...

    @write(raises=[NotFoundError, InsufficientCredits, Conflict], emits=[Withdrawn, Deposited])
    async def transfer(self, source_id: AccountId, target_id: AccountId, amount: Cents, note: Note = "") -> int:
        """Move `amount` from one account to another and return what the source has left.

        Raises NotFoundError for either, InsufficientCredits, and Conflict when both are the same account.
        Emits Withdrawn for the source and Deposited for the target.
        """
        ...


class AsyncAccounts(Accounts, AsyncService):
    """Every method as an ``async def``: ``await AsyncAccounts(client).deposit("a-1", 500)``."""


class SyncAccounts(Accounts, SyncService):
    """Every method as a plain ``def``: ``SyncAccounts(client).deposit("a-1", 500)``."""
