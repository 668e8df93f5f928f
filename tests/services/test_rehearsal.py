"""A rehearsal says what a replay would come to, and changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from accounts import AsyncAccounts
from tests.conftest import FAMILIES
from tests.services.desk_given import deposit, lay, letter
from tests.services.fragile import family as fragile_family
from worker.desk import Desk, Filter
from worker.migrations import migrate
from worker.settings import WorkerSettings

ALL = [*FAMILIES, fragile_family]


async def checksum(sql: asyncpg.Connection) -> str:
    """Of every row of every table, but the one in which the relay notes how far it is: sequences may move."""
    tables = await sql.fetch(
        "select format('%I.%I', schemaname, tablename) as name from pg_tables"
        " where schemaname not in ('pg_catalog', 'information_schema') and tablename <> 'relay'"
        " order by 1"
    )
    query = "select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {} as t"
    return "".join([await sql.fetchval(query.format(table["name"])) for table in tables])


@pytest.fixture
async def desk(settings: WorkerSettings, local) -> AsyncIterator[Desk]:
    await migrate(settings, ALL)
    await AsyncAccounts(local.client).open_account("a-1", "me")
    async with Desk(settings, families=ALL, actor="ops@here") as desk:
        yield desk


async def test_each_is_told_what_it_would_come_to_and_nothing_is_changed(desk, settings, sql):
    await sql.execute("insert into fragile.bugs (kind) values ('look_up'), ('store')")
    numbers = await lay(
        settings,
        deposit(amount=1),
        letter("accounts.withdraw", {"account_id": "a-1", "amount": 900}),
        letter("accounts.transfer", {"source_id": "a-1", "target_id": "a-2", "amount": 900}),
        letter("fragile.work", {"key": "k-1", "kind": "look_up"}),
        letter("fragile.store", {"key": "k-2", "amount": 1}),
        letter("fragile.work", {"key": "k-3", "kind": ""}),
        letter("fragile.gone", {}),
        deposit(amount=2, request_id="017f22e2-79b0-7cc3-98c4-dc0c0c07398f", age=timedelta(days=30)),
    )
    before = await checksum(sql)

    report = await desk.rehearse(Filter())

    told = {step.number: (step.outcome, step.failed) for step in report.steps}
    assert [told[number] for number in numbers] == [
        ("done", False),
        ("InsufficientCredits", False),
        ("NotFoundError", False),
        ("InternalError", True),
        ("InternalError", True),
        ("done", False),
        (None, False),
        ("done", False),
    ]
    assert await checksum(sql) == before


async def test_of_a_bug_it_tells_the_exception_and_where_it_would_be_raised(desk, settings, sql):
    await sql.execute("insert into fragile.bugs (kind) values ('look_up')")
    await lay(settings, letter("fragile.work", {"key": "k-1", "kind": "look_up"}))

    (step,) = (await desk.rehearse(Filter())).steps

    assert "KeyError: 'k-1'" in step.told
    assert "in look_up" in step.told


async def test_a_constraint_that_is_judged_at_the_commit_is_judged(desk, settings, sql):
    await sql.execute(
        "alter table accounts.entries add constraint entries_few unique (account_id) deferrable initially deferred"
    )
    await sql.execute("insert into accounts.entries (account_id, amount, balance, note) values ('a-1', 1, 1, '')")
    await lay(settings, deposit(amount=1))

    (step,) = (await desk.rehearse(Filter())).steps

    assert (step.outcome, step.failed) == ("InternalError", True)
    assert "entries_few" in step.told


async def test_it_tells_how_far_it_is(desk, settings):
    await lay(settings, deposit(), deposit())
    told = []

    await desk.rehearse(Filter(), progress=lambda done, total: told.append((done, total)))

    assert told == [(1, 2), (2, 2)]
