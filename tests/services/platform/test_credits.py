"""get_credits, spend_credits, add_credits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random

import pytest

from rpc_client.contract.platform import AsyncPlatform, UsageTransactionMetadata
from rpc_client.errors import InsufficientCredits, InvalidRequest, NotFoundError

NOTHING = UsageTransactionMetadata()


async def test_whoever_never_had_credits_has_none(platform: AsyncPlatform, owner):
    assert await platform.get_credits(owner) == 0
    assert await platform.get_credits("nobody") == 0


async def test_added_credits_are_there(platform: AsyncPlatform, owner, events):
    events.clear()

    balances = [await platform.add_credits(owner, 500, "welcome"), await platform.add_credits(owner, 250, "top-up")]

    assert balances == [500, 750]
    assert await platform.get_credits(owner) == 750
    assert [(event.type, event.aggregate_id, event.data) for event in events] == [
        ("CreditsAdded", owner, {"amount": 500, "reason": "welcome", "balance": 500}),
        ("CreditsAdded", owner, {"amount": 250, "reason": "top-up", "balance": 750}),
    ]


async def test_credits_for_an_unknown_user_are_refused(platform: AsyncPlatform, sql, events):
    with pytest.raises(NotFoundError, match="there is no user 'nobody'"):
        await platform.add_credits("nobody", 500, "welcome")

    assert await sql.fetchval("select count(*) from platform.balances") == 0
    assert await sql.fetchval("select count(*) from platform.credit_transactions") == 0
    assert events == []


async def test_spending_answers_what_is_left(platform: AsyncPlatform, owner, events):
    await platform.add_credits(owner, 500, "welcome")
    events.clear()

    left = await platform.spend_credits(owner, 120, NOTHING)

    assert left == 380
    assert await platform.get_credits(owner) == 380
    (event,) = events
    assert (event.type, event.aggregate, event.aggregate_id) == ("CreditsSpent", "credits", owner)
    assert event.data == {"cost": 120, "balance": 380}


async def test_the_last_cent_can_be_spent(platform: AsyncPlatform, owner):
    await platform.add_credits(owner, 1, "welcome")

    assert await platform.spend_credits(owner, 1, NOTHING) == 0


async def test_the_ledger_says_what_credits_went_for(platform: AsyncPlatform, owner, sql):
    await platform.add_credits(owner, 500, "welcome")

    await platform.spend_credits(
        owner, 20, UsageTransactionMetadata(block_id="b-1", node_exec_id="x-1", context={"tokens": 7, "free": False})
    )

    row = await sql.fetchrow("select * from platform.credit_transactions where amount < 0")
    assert (row["user_id"], row["amount"], row["balance"]) == (owner, -20, 480)
    assert json.loads(row["metadata"]) == {
        "block_id": "b-1",
        "node_exec_id": "x-1",
        "context": {"tokens": 7, "free": False},
    }


async def test_spending_more_than_there_is_changes_nothing(platform: AsyncPlatform, owner, sql, events):
    await platform.add_credits(owner, 99, "welcome")
    events.clear()

    with pytest.raises(InsufficientCredits) as refused:
        await platform.spend_credits(owner, 100, NOTHING)

    assert refused.value.message == "balance 99 is below the cost 100 (cents)"
    assert refused.value.details == {"balance": 99, "cost": 100}
    assert await platform.get_credits(owner) == 99
    assert await sql.fetchval("select count(*) from platform.credit_transactions") == 1
    assert events == []


@pytest.mark.parametrize("user_id", ["owner", "nobody"])
async def test_without_a_balance_row_the_balance_is_0(platform: AsyncPlatform, owner, user_id):
    with pytest.raises(InsufficientCredits) as refused:
        await platform.spend_credits(user_id, 1, NOTHING)

    assert refused.value.details == {"balance": 0, "cost": 1}


@pytest.mark.parametrize("cents", [0, -1, 10**12 + 1])
async def test_amounts_that_are_no_amounts_are_refused(platform: AsyncPlatform, owner, cents):
    await platform.add_credits(owner, 500, "welcome")

    with pytest.raises(InvalidRequest, match="cost"):
        await platform.spend_credits(owner, cents, NOTHING)
    with pytest.raises(InvalidRequest, match="amount"):
        await platform.add_credits(owner, cents, "welcome")

    assert await platform.get_credits(owner) == 500


async def test_users_spend_their_own(platform: AsyncPlatform, owner, stranger):
    await platform.add_credits(owner, 500, "welcome")
    await platform.add_credits(stranger, 70, "welcome")

    await platform.spend_credits(stranger, 70, NOTHING)

    assert (await platform.get_credits(owner), await platform.get_credits(stranger)) == (500, 0)


async def test_of_ten_who_spend_100_of_500_at_once_five_can(platform: AsyncPlatform, owner, events):
    await platform.add_credits(owner, 500, "welcome")
    events.clear()

    outcomes = await asyncio.gather(
        *(platform.spend_credits(owner, 100, NOTHING) for _ in range(10)), return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, InsufficientCredits)]
    assert sorted(outcome for outcome in outcomes if isinstance(outcome, int)) == [0, 100, 200, 300, 400]
    assert [error.details for error in refused] == [{"balance": 0, "cost": 100}] * 5
    assert await platform.get_credits(owner) == 0
    assert len(events) == 5


async def test_first_credits_that_come_at_once_all_count(platform: AsyncPlatform, owner):
    await asyncio.gather(*(platform.add_credits(owner, 10, "welcome") for _ in range(10)))

    assert await platform.get_credits(owner) == 100


@pytest.mark.parametrize("seed", range(3))
async def test_a_hundred_who_spend_and_read_at_once_conserve_every_cent(platform: AsyncPlatform, owner, sql, seed):
    chance = random.Random(seed)
    await platform.add_credits(owner, 1000, "welcome")
    spent: list[int] = []

    async def spend(cents: int) -> None:
        with contextlib.suppress(InsufficientCredits):
            spent.append(await platform.spend_credits(owner, cents, NOTHING))

    calls = [spend(chance.randint(1, 60)) if chance.random() < 0.6 else platform.get_credits(owner) for _ in range(100)]
    reads = {read for read in await asyncio.gather(*calls) if read is not None}

    ledger = await sql.fetch("select amount, balance from platform.credit_transactions order by number")
    balances = [row["balance"] for row in ledger]
    assert list(itertools.accumulate(row["amount"] for row in ledger)) == balances
    assert await platform.get_credits(owner) == balances[-1] >= 0
    assert sorted(spent, reverse=True) == balances[1:]
    assert reads <= set(balances)


async def test_the_ledger_adds_up_to_the_balance(platform: AsyncPlatform, owner, sql):
    await platform.add_credits(owner, 300, "welcome")

    moves = [platform.add_credits(owner, 40, "more") for _ in range(5)]
    moves += [platform.spend_credits(owner, 70, NOTHING) for _ in range(10)]
    await asyncio.gather(*moves, return_exceptions=True)

    balance = await platform.get_credits(owner)
    amounts = await sql.fetch("select amount, balance from platform.credit_transactions order by number")
    assert balance == sum(row["amount"] for row in amounts) == amounts[-1]["balance"]
    assert all(row["balance"] >= 0 for row in amounts)
