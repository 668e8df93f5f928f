"""Keys are changed while users' credentials are read and written: no read fails, and the new key opens all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from rpc_client.contract.platform import AsyncPlatform, UserIntegrations, UserMetadataDTO
from tests.services.platform.secrets_given import API_KEY, LOST, NEW, OLD, lying, opened, platform_with, with_keys
from worker.database import Database
from worker.desk.rotation import ROWS, Rotated, rotate_rows
from worker.keys import StrictKeyRing
from worker.services.platform import family
from worker.settings import WorkerSettings
from worker.statements import read_statements
from worker.testing import LocalWorker

USERS = 3 * ROWS + 1
ROUNDS = 5
TABLE = "user_integrations"


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    """Of a worker that knows the new key already."""
    return with_keys(settings, NEW, OLD)


@pytest.fixture
async def desk(local: LocalWorker, settings: WorkerSettings) -> AsyncIterator[Database]:
    """The database as the command uses it, beside the worker."""
    async with Database(settings) as database:
        yield database


def mine(user_id: str, turn: int = 0) -> UserIntegrations:
    """What a user has, and no other."""
    return UserIntegrations(credentials=[API_KEY.model_copy(update={"api_key": f"{user_id}'s", "expires_at": turn})])


async def old_rows(settings: WorkerSettings, url: str, sql: asyncpg.Connection) -> list[str]:
    """Users whose credentials were sealed with the old key."""
    names = [f"u-{n:03}" for n in range(USERS)]
    await sql.executemany("insert into platform.users (id, email) values ($1, $1)", [(name,) for name in names])
    async with platform_with(settings, url, OLD) as before:
        await asyncio.gather(*(before.update_user_integrations(name, mine(name)) for name in names))
    return names


async def rotated(desk: Database, *keys: str, table: str = TABLE, progress=print) -> Rotated:
    statements = read_statements(family.name, family.sql)
    return await rotate_rows(desk, statements, family.name, table, StrictKeyRing(keys), progress=progress)


async def test_afterwards_the_new_key_alone_opens_every_row_and_again_finds_nothing_to_do(
    desk, settings, postgres_url, sql
):
    names = await old_rows(settings, postgres_url, sql)

    first, again = await rotated(desk, NEW, OLD), await rotated(desk, NEW, OLD)

    assert (first.sealed, first.already, again.sealed, again.already) == (USERS, 0, 0, USERS)
    assert await opened(sql, TABLE, NEW) == {name: mine(name) for name in names}


async def test_metadata_is_sealed_anew_too(desk, settings, postgres_url, sql):
    await sql.execute("insert into platform.users (id, email) values ('u', 'u')")
    async with platform_with(settings, postgres_url, OLD) as before:
        written = await before.update_user_metadata("u", UserMetadataDTO(integration_credentials=[API_KEY]))

    await rotated(desk, NEW, OLD, table="user_metadata")

    assert await opened(sql, "user_metadata", NEW) == {"u": written}


async def test_under_load_no_read_fails_and_no_update_is_lost(
    platform: AsyncPlatform, desk, settings, postgres_url, sql
):
    names = await old_rows(settings, postgres_url, sql)
    done = asyncio.Event()
    reads = updates = 0

    async def work(of: list[str]) -> dict[str, int]:
        """Read and update these users' credentials until the keys are changed, and a few times at least."""
        nonlocal reads, updates
        turns = dict.fromkeys(of, 0)
        while not done.is_set() or min(turns.values()) < ROUNDS:
            for name in of:
                assert await platform.get_user_integrations(name) == mine(name, turns[name])
                turns[name] += 1
                await platform.update_user_integrations(name, mine(name, turns[name]))
                reads, updates = reads + 1, updates + 1
        return turns

    async def change_keys() -> Rotated:
        while updates < 4:  # the load is on
            await asyncio.sleep(0)
        try:
            return await rotated(desk, NEW, OLD)
        finally:
            done.set()

    *told, result = await asyncio.gather(*(work(names[n::20]) for n in range(4)), change_keys())
    turns = {name: turn for one in told for name, turn in one.items()}

    assert reads >= len(turns) * ROUNDS
    assert (result.unreadable, result.sealed + result.already) == ([], USERS)
    assert result.sealed >= USERS - len(turns)
    assert await opened(sql, TABLE, NEW) == {name: mine(name, turns.get(name, 0)) for name in names}
    async with platform_with(settings, postgres_url, NEW) as afterwards:
        assert await afterwards.get_user_integrations(names[-1]) == mine(names[-1], turns.get(names[-1], 0))


async def test_a_row_that_changes_between_reading_and_writing_is_not_written_over(
    platform: AsyncPlatform, desk, settings, postgres_url, sql, monkeypatch
):
    names = await old_rows(settings, postgres_url, sql)
    fetch = desk.fetch

    async def overtaken(*arguments, **named):
        rows = await fetch(*arguments, **named)
        if rows and rows[0]["key"] == names[0]:
            async with platform_with(settings, postgres_url, OLD) as old:
                await old.update_user_integrations(names[5], mine(names[5], 1))
        return rows

    monkeypatch.setattr(desk, "fetch", overtaken)
    result = await rotated(desk, NEW, OLD)

    assert (result.sealed, result.unreadable) == (USERS, [])
    assert await opened(sql, TABLE, NEW) == {name: mine(name, int(name == names[5])) for name in names}


async def test_one_that_broke_off_is_ended_by_the_next(desk, settings, postgres_url, sql):
    names = await old_rows(settings, postgres_url, sql)

    def break_off(done: int) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await rotated(desk, NEW, OLD, progress=break_off)
    rest = await rotated(desk, NEW, OLD)

    assert (rest.already, rest.sealed) == (ROWS, USERS - ROWS)
    assert await opened(sql, TABLE, NEW) == {name: mine(name) for name in names}


async def test_rows_that_no_key_opens_are_listed_and_left_as_they_are(desk, settings, postgres_url, sql):
    names = await old_rows(settings, postgres_url, sql)
    foreign = StrictKeyRing([LOST]).seal(b"{}", place=f"{TABLE}/{names[1]}").decode()
    first = (await lying(sql, TABLE))[names[0]]
    bad = {names[1]: foreign, names[2]: first, names[3]: f"clear:\0\x14{TABLE}/{names[3]}{{}}".replace("\0", "")}
    for name, sealed in bad.items():
        await sql.execute("update platform.user_integrations set sealed = $2 where user_id = $1", name, sealed)

    result = await rotated(desk, NEW, OLD)

    assert (result.sealed, result.unreadable) == (USERS - 3, [*bad])
    left = await lying(sql, TABLE)
    assert {name: left[name] for name in bad} == bad
