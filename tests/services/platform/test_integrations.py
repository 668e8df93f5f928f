"""A user's credentials: what is written is read, and nobody else sees any of it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest
import structlog

from rpc_client.contract.platform import (
    AsyncPlatform,
    OAuth2Credentials,
    UserIntegrations,
    UserMetadata,
    UserMetadataDTO,
)
from rpc_client.errors import InvalidRequest, NotFoundError, Unavailable
from tests.services.platform.secrets_given import (
    API_KEY,
    CANARY,
    LOST,
    NEW,
    OF_EVERY_KIND,
    OLD,
    STATE,
    lying,
    platform_with,
    with_keys,
)
from worker.settings import WorkerSettings
from worker.testing import LocalWorker

BOTH = UserMetadataDTO(integration_credentials=[API_KEY], integration_oauth_states=[STATE])
TABLES = ["user_integrations", "user_metadata"]


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    """Of a worker with a key."""
    return with_keys(settings, OLD)


def read(platform: AsyncPlatform, table: str, user_id: str):
    """Read what a table keeps of a user."""
    return platform.get_user_integrations(user_id) if table == TABLES[0] else platform.get_user_metadata(user_id)


def write(platform: AsyncPlatform, table: str, user_id: str):
    """Write what a table keeps of a user."""
    if table == TABLES[0]:
        return platform.update_user_integrations(user_id, OF_EVERY_KIND)
    return platform.patch_user_metadata(user_id, BOTH)


async def test_credentials_of_every_kind_are_read_as_they_were_written(platform, owner):
    await platform.update_user_integrations(owner, OF_EVERY_KIND)

    assert await platform.get_user_integrations(owner) == OF_EVERY_KIND


async def test_an_update_replaces_all_there_was(platform, owner, events):
    await platform.update_user_integrations(owner, OF_EVERY_KIND)
    await platform.update_user_integrations(owner, UserIntegrations(credentials=[API_KEY]))

    assert await platform.get_user_integrations(owner) == UserIntegrations(credentials=[API_KEY])
    told = [(event.aggregate_id, event.data) for event in events if event.type == "UserIntegrationsUpdated"]
    assert told == [
        (owner, {"credentials": 4, "oauth_states": 1}),
        (owner, {"credentials": 1, "oauth_states": 0}),
    ]


@pytest.mark.parametrize("table", TABLES)
async def test_a_user_without_any_reads_as_empty_and_nothing_is_written(platform, owner, sql, table):
    found = await read(platform, table, owner)

    assert found == type(found)()
    assert await lying(sql, table) == {}


@pytest.mark.parametrize("table", TABLES)
async def test_a_stranger_sees_and_changes_nothing_of_it(platform, owner, stranger, table):
    await write(platform, table, owner)
    before = await read(platform, table, owner)

    seen = await read(platform, table, stranger)
    await platform.update_user_integrations(stranger, UserIntegrations())
    await platform.patch_user_metadata(stranger, UserMetadataDTO(integration_credentials=[]))

    assert seen == type(seen)()
    assert await read(platform, table, owner) == before != seen


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("use", [read, write])
async def test_an_unknown_user_is_not_found(platform, sql, events, table, use):
    with pytest.raises(NotFoundError) as refused:
        await use(platform, table, "nobody")

    assert refused.value.details == {"user_id": "nobody"}
    assert (await lying(sql, table), events) == ({}, [])


async def test_metadata_changes_by_what_is_given(platform, owner, events):
    both = await platform.update_user_metadata(owner, BOTH)
    emptied = await platform.update_user_metadata(owner, UserMetadataDTO(integration_oauth_states=[]))
    events.clear()
    same = await platform.update_user_metadata(owner, UserMetadataDTO())

    assert both == UserMetadata(integration_credentials=[API_KEY], integration_oauth_states=[STATE])
    assert emptied == same == UserMetadata(integration_credentials=[API_KEY])
    assert events == []


async def test_a_change_of_metadata_is_told_by_numbers_only(platform, owner, events):
    events.clear()
    await platform.update_user_metadata(owner, BOTH)

    assert [(event.type, event.aggregate_id, event.data) for event in events] == [
        ("UserMetadataUpdated", owner, {"integration_credentials": 1, "integration_oauth_states": 1})
    ]


async def test_changes_of_one_users_metadata_at_once_lose_nothing_of_each_other(platform, owner):
    credentials = [API_KEY.model_copy(update={"id": f"key-{n}"}) for n in range(10)]
    halves = [UserMetadataDTO(integration_credentials=credentials), UserMetadataDTO(integration_oauth_states=[STATE])]

    await asyncio.gather(*(platform.patch_user_metadata(owner, half) for half in halves * 5))

    found = await platform.get_user_metadata(owner)
    assert (len(found.integration_credentials), len(found.integration_oauth_states)) == (10, 1)


BAD = {
    "kind": {"credentials": [{"type": "passkey", "provider": "x", "key": CANARY}]},
    "no secret": {"credentials": [{"type": "api_key", "provider": "x", "token": CANARY}]},
    "number": {"credentials": [{"type": "api_key", "provider": "x", "api_key": 5}]},
    "too long": {"credentials": [{"type": "api_key", "provider": "x", "api_key": CANARY * 3000}]},
    "too many": {"oauth_states": [{"token": CANARY, "provider": "x", "expires_at": 1, "scopes": []}] * 1001},
    "expiry": {"credentials": [{"type": "api_key", "provider": "x", "api_key": CANARY, "expires_at": -1}]},
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
async def test_what_does_not_fit_is_refused_in_words_without_secrets(local: LocalWorker, owner, sql, data):
    with pytest.raises(InvalidRequest) as refused:
        await local.client.call_by_name("platform.update_user_integrations", "write", {"user_id": owner, "data": data})

    assert refused.value.details["argument"] == "data"
    assert CANARY not in f"{refused.value} {refused.value.details}"
    assert await lying(sql, "user_integrations") == {}


async def test_no_secret_lies_in_the_database_leaves_in_an_event_or_is_logged(local: LocalWorker, platform, owner, sql):
    with structlog.testing.capture_logs() as lines:
        await platform.update_user_integrations(owner, OF_EVERY_KIND)
        await platform.update_user_metadata(owner, BOTH)

    kept = [
        await sql.fetch(f"select t.*::text from {table} as t")
        for table in ("platform.user_integrations", "platform.user_metadata", "rowcall.receipts")
    ]
    assert [len(rows) for rows in kept] == [1, 1, 3]
    assert CANARY not in f"{kept} {lines} {local.messages}"


def test_what_a_program_prints_holds_no_secret():
    assert CANARY not in repr(OF_EVERY_KIND)
    with pytest.raises(ValueError, match="access_token") as refused:
        OAuth2Credentials.model_validate({"provider": "x", "access_token": {"token": CANARY}})
    assert CANARY not in str(refused.value)


@pytest.fixture
def elsewhere(settings: WorkerSettings, postgres_url: str):
    """The platform as a worker with other keys serves it, on the same database."""

    def served(*keys: str) -> AbstractAsyncContextManager[AsyncPlatform]:
        return platform_with(settings, postgres_url, *keys)

    return served


@pytest.mark.parametrize("table", TABLES)
async def test_what_no_key_opens_is_an_error_and_is_not_written_over(platform, owner, sql, elsewhere, events, table):
    await write(platform, table, owner)
    before = await sql.fetch(f"select * from platform.{table}")
    events.clear()

    async with elsewhere(LOST) as other:
        for use in (read, write):
            with pytest.raises(Unavailable, match="ROWCALL_ENCRYPTION_KEYS") as told:
                await use(other, table, owner)
            assert told.value.details == {"reason": "sealed"}
            assert LOST not in str(told.value)

    assert await sql.fetch(f"select * from platform.{table}") == before
    assert await sql.fetchval("select count(*) from rowcall.receipts") == 2
    async with elsewhere(NEW, OLD) as mended:
        await read(mended, table, owner)


@pytest.mark.parametrize("table", TABLES)
async def test_rows_that_were_swapped_do_not_open(platform, owner, stranger, sql, table):
    for user_id in (owner, stranger):
        await write(platform, table, user_id)
    sealed = await lying(sql, table)
    for user_id, other in ((owner, stranger), (stranger, owner)):
        await sql.execute(
            f"update platform.{table} set sealed = $2 where user_id = $1",
            user_id,
            sealed[other],
        )

    for user_id in (owner, stranger):
        with pytest.raises(Unavailable, match="sealed for another place"):
            await read(platform, table, user_id)


async def test_one_table_does_not_open_in_the_place_of_the_other(platform, owner, sql):
    await platform.update_user_metadata(owner, BOTH)
    await sql.execute(
        "insert into platform.user_integrations (user_id, sealed) select user_id, sealed from platform.user_metadata"
    )

    with pytest.raises(Unavailable, match="sealed for another place"):
        await platform.get_user_integrations(owner)


async def test_a_row_that_says_it_was_kept_in_the_clear_is_not_believed(platform, owner, sql):
    await sql.execute("insert into platform.user_integrations values ($1, 'clear:{}')", owner)

    with pytest.raises(Unavailable, match="not sealed"):
        await platform.get_user_integrations(owner)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("use", [read, write])
async def test_without_keys_these_methods_alone_do_not_run(platform, owner, sql, elsewhere, table, use):
    async with elsewhere() as without:
        with pytest.raises(Unavailable, match="set ROWCALL_ENCRYPTION_KEYS") as told:
            await use(without, table, owner)
        balance = await without.get_credits(owner)

    assert told.value.details == {"reason": "no_key"}
    assert balance == 0
    assert await lying(sql, table) == {}
