"""Accounts with a ledger: a family of methods that is a package of its own."""

from __future__ import annotations

from accounts.contract import (
    Account,
    AccountOpened,
    Accounts,
    AsyncAccounts,
    Deposited,
    Entry,
    SyncAccounts,
    Withdrawn,
)

__all__ = [
    "Account",
    "AccountOpened",
    "Accounts",
    "AsyncAccounts",
    "Deposited",
    "Entry",
    "SyncAccounts",
    "Withdrawn",
]
