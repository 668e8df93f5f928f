"""get_execution_kv_data, set_execution_kv_data."""

from __future__ import annotations

import asyncio

import pytest

from rpc_client.contract.platform import AsyncPlatform
from rpc_client.errors import InvalidRequest, NotFoundError, ResultTooLarge

LIMIT = 128 << 10


async def test_a_set_value_is_read_and_the_next_set_tells_it(platform: AsyncPlatform, owner):
    assert await platform.set_execution_kv_data(owner, "run-1", "memory", {"turn": 1}) is None
    assert await platform.get_execution_kv_data(owner, "memory") == {"turn": 1}

    assert await platform.set_execution_kv_data(owner, "run-2", "memory", ["turn", 2]) == {"turn": 1}

    assert await platform.get_execution_kv_data(owner, "memory") == ["turn", 2]
    assert await platform.set_execution_kv_data(owner, "run-2", "memory", 3) == ["turn", 2]


@pytest.mark.parametrize("value", [0, 0.0, "", [], {}, False, None])
async def test_a_value_that_is_falsy_comes_back_as_it_is(platform: AsyncPlatform, owner, value):
    await platform.set_execution_kv_data(owner, "run-1", "key", "before")

    await platform.set_execution_kv_data(owner, "run-1", "key", value)

    found = await platform.get_execution_kv_data(owner, "key")
    told = await platform.set_execution_kv_data(owner, "run-1", "key", "after")
    assert [(type(one), one) for one in (found, told)] == [(type(value), value)] * 2


async def test_a_key_that_was_never_set_has_no_value(platform: AsyncPlatform, owner):
    await platform.set_execution_kv_data(owner, "run-1", "one", 1)

    assert await platform.get_execution_kv_data(owner, "other") is None
    assert await platform.get_execution_kv_data("nobody", "one") is None


async def test_users_never_meet_each_others_values(platform: AsyncPlatform, owner, stranger):
    await platform.set_execution_kv_data(owner, "run-1", "key", "the owner's")

    assert await platform.get_execution_kv_data(stranger, "key") is None
    assert await platform.set_execution_kv_data(stranger, "run-1", "key", "the stranger's") is None
    assert await platform.get_execution_kv_data(owner, "key") == "the owner's"


async def test_a_set_value_is_told_of_without_the_value(platform: AsyncPlatform, owner, events):
    events.clear()

    await platform.set_execution_kv_data(owner, "run-1", "key", "the owner's business")

    (event,) = events
    assert (event.type, event.aggregate, event.aggregate_id) == ("ExecutionDataSet", "execution_data", owner)
    assert event.data == {"key": "key", "node_exec_id": "run-1"}


async def test_a_value_keeps_the_run_that_set_it_though_nobody_knows_that(platform: AsyncPlatform, owner, sql):
    await platform.set_execution_kv_data(owner, "run-1", "key", 1)
    await platform.set_execution_kv_data(owner, "run-2", "key", 2)

    row = await sql.fetchrow("select node_exec_id, updated_at > created_at as later from platform.execution_data")
    assert tuple(row) == ("run-2", True)


@pytest.mark.parametrize("begun", [False, True], ids=["new key", "known key"])
async def test_fifty_sets_at_once_form_a_chain(platform: AsyncPlatform, owner, begun):
    before = [await platform.set_execution_kv_data(owner, "run", "key", "first")] if begun else []

    told = await asyncio.gather(*(platform.set_execution_kv_data(owner, f"run-{n}", "key", n) for n in range(50)))

    every = [*before, *told, await platform.get_execution_kv_data(owner, "key")]
    assert sorted(value for value in every if isinstance(value, int)) == list(range(50))
    assert [value for value in every if not isinstance(value, int)] == ([None, "first"] if begun else [None])


async def test_values_of_an_unknown_user_are_refused(platform: AsyncPlatform, sql, events):
    with pytest.raises(NotFoundError, match="there is no user 'nobody'") as refused:
        await platform.set_execution_kv_data("nobody", "run-1", "key", 1)

    assert refused.value.details == {"user_id": "nobody"}
    assert await sql.fetchval("select count(*) from platform.execution_data") == 0
    assert events == []


async def test_the_largest_value_can_be_set_and_told_and_a_larger_one_changes_nothing(
    platform: AsyncPlatform, owner, events
):
    largest = "x" * (LIMIT - 2)
    await platform.set_execution_kv_data(owner, "run-1", "key", largest)
    events.clear()

    with pytest.raises(ResultTooLarge, match="at most 131072") as refused:
        await platform.set_execution_kv_data(owner, "run-1", "key", largest + "x")

    assert refused.value.details == {"bytes": LIMIT + 1, "limit": LIMIT}
    assert events == []
    assert await platform.set_execution_kv_data(owner, "run-1", "key", 1) == largest


async def test_a_value_that_only_the_database_writes_large_is_refused_too(platform: AsyncPlatform, owner):
    with pytest.raises(ResultTooLarge):
        await platform.set_execution_kv_data(owner, "run-1", "key", [1e308] * 500)

    assert await platform.get_execution_kv_data(owner, "key") is None


@pytest.mark.parametrize("key", ["", "x" * 401])
async def test_a_key_has_1_to_400_characters(platform: AsyncPlatform, owner, key):
    with pytest.raises(InvalidRequest, match="key"):
        await platform.set_execution_kv_data(owner, "run-1", key, 1)
    with pytest.raises(InvalidRequest, match="key"):
        await platform.get_execution_kv_data(owner, key)


async def test_the_longest_key_of_the_longest_user_id_has_its_place(platform: AsyncPlatform):
    user = await platform.create_user("\N{GRINNING FACE}" * 200, "long@example.org")
    key = "\N{GRINNING FACE}" * 400

    await platform.set_execution_kv_data(user.id, "run-1", key, 1)

    assert await platform.get_execution_kv_data(user.id, key) == 1


async def test_what_the_database_cannot_store_is_refused_by_name(platform: AsyncPlatform, owner):
    with pytest.raises(InvalidRequest, match=r"argument 'data': text in it holds U\+0000"):
        await platform.set_execution_kv_data(owner, "run-1", "key", {"deep": ["a\0b"]})
