"""Accounts with a ledger: a family of methods that is a package of its own."""

from __future__ import annotations

from accounts.contract import Account, Accounts, AsyncAccounts, Entry, SyncAccounts

__all__ = ["Account", "Accounts", "AsyncAccounts", "Entry", "SyncAccounts"]
