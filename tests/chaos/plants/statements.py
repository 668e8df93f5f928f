"""Bugs in SQL: what is judged is not locked."""

from __future__ import annotations

from tests.chaos.plants.plant import rewrite


def guard_first() -> None:
    """A withdrawal that is refused tells the balance of another moment than that of its judgement.

    The moment lasts 100 ms: by itself it is so short that on a busy machine nobody may meet it.
    """
    rewrite(
        "accounts.withdraw",
        (
            "    where account_id = :account_id\n    for update\n",
            "    where account_id = :account_id and pg_sleep(0.1) is not null\n",
        ),
        ("and c.balance >= :amount::bigint\n    returning", "and a.balance >= :amount::bigint\n    returning"),
    )


def claim_unlocked() -> None:
    """A task is found without being locked."""
    rewrite("chaos.claim", ("    for update skip locked\n", ""))


def stale_balance() -> None:
    """A deposit adds to the balance that it has read."""
    rewrite(
        "accounts.deposit",
        ("select account_id\n", "select account_id, balance\n"),
        ("    for update\n", ""),
        ("set balance = a.balance + :amount::bigint", "set balance = c.balance + :amount::bigint"),
    )
