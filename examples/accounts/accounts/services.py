"""How accounts answer: four methods are one statement each, the transfer is a story."""

from __future__ import annotations

from importlib.resources import files

from accounts.contract import Account, Accounts, Deposited, Withdrawn
from rpc_client.errors import Conflict, InsufficientCredits, NotFoundError
from worker.database import Transaction
from worker.registry import Family, Registry

accounts = Registry(Accounts)
accounts.direct(Accounts.get_account, Accounts.list_entries, Accounts.open_account, Accounts.deposit, Accounts.withdraw)


@accounts.implements(Accounts.transfer)
async def transfer(tx: Transaction, source_id: str, target_id: str, amount: int, note: str = "") -> int:
    """Lock both accounts in one order, whoever pays whom, so that opposite transfers never wait for each other."""
    if source_id == target_id:
        raise Conflict("source_id and target_id are the same account", {"account_id": source_id})
    locked = {
        found.account_id: found for found in await tx.many(Account, "accounts.lock_two", ids=[source_id, target_id])
    }
    for account_id in (source_id, target_id):
        if account_id not in locked:
            raise NotFoundError(f"there is no account {account_id!r}", {"account_id": account_id})
    left = locked[source_id].balance - amount
    if left < 0:
        balance = locked[source_id].balance
        message = f"balance {balance} is below the amount {amount} (cents)"
        raise InsufficientCredits(message, {"balance": balance, "cost": amount})
    for account_id, change, happened in ((source_id, -amount, Withdrawn), (target_id, amount, Deposited)):
        balance = await tx.value(int, "accounts.book", account_id=account_id, change=change, note=note)
        tx.emit(account_id, happened(amount=amount, balance=balance))
    return left


family = Family(accounts, sql=files("accounts") / "sql")
