"""C6: money is moved, never made and never lost, and nobody ever owes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.chaos.checker.evidence import MARKS, Evidence
from tests.chaos.checker.findings import Finding


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a ledger."""

    number: int
    mark: str
    """Whose call booked it."""
    amount: int
    balance: int


Books = Mapping[tuple[str, str], list[Line]]
"""Kind and name of an account -> its lines, in the order in which they were booked: numbers are drawn behind a lock."""


def books_of(evidence: Evidence) -> Books:
    """The ledgers of accounts, and those of credits."""
    found: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for table, kind, name, number in (
        ("entries", "account", "account_id", "entry_id"),
        ("credit_transactions", "credits", "user_id", "number"),
    ):
        for row in sorted(evidence.tables[table], key=lambda row: row[number]):
            mark = MARKS[table](row)[0]
            found[kind, row[name]].append(Line(row[number], mark, row["amount"], row["balance"]))
    return found


def check_money(evidence: Evidence) -> Iterator[Finding]:
    """C6: every balance is the sum of its lines, each of which continues the one before; at any time, for anybody."""
    books = books_of(evidence)
    held = {("account", row["account_id"]): row["balance"] for row in evidence.tables["accounts"]}
    held |= {("credits", row["user_id"]): row["balance"] for row in evidence.tables["balances"]}
    for account in sorted(held.keys() | books.keys()):
        balance, booked = held.get(account, 0), sum(line.amount for line in books.get(account, ()))
        if balance != booked:
            yield Finding("wrong", "C6", " ".join(account), f"its balance is {balance}, its lines sum up to {booked}")
        yield from _broken(" ".join(account), books.get(account, []))
    for seen in evidence.sums:
        sums = {name: seen[name] for name in ("balances", "entries", "credits", "transactions", "least")}
        if (seen["balances"], seen["credits"]) != (seen["entries"], seen["transactions"]) or seen["least"] < 0:
            yield Finding("wrong", "C6", "auditor", f"at {seen['at']:.3f} somebody read {sums}")


def _broken(name: str, lines: list[Line]) -> Iterator[Finding]:
    """Where a ledger does not go on as it left off, or goes below zero."""
    balance = 0
    for line in lines:
        if line.balance != balance + line.amount or line.balance < 0:
            what = f"line {line.number}: {balance} and {line.amount} make {line.balance}"
            yield Finding("wrong", "C6", name, what)
        balance = line.balance
