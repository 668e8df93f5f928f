"""get_active_user_ids_in_timerange and its pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rpc_client.contract.platform import AsyncPlatform, GraphModel
from rpc_client.errors import InvalidRequest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RUNS = """
insert into platform.graph_executions (id, user_id, graph_id, graph_version, status, created_at)
select id, user_id, $1, $2, 'COMPLETED', $3::timestamptz + at * interval '1 second'
from unnest($4::text[], $5::text[], $6::int[]) as run (id, user_id, at)
"""


@pytest.fixture
async def runs(platform: AsyncPlatform, sql, graph: GraphModel) -> None:
    """Runs of four users: cleo's before noon, ann's and bob's in the five seconds that follow it, zoe's after."""
    for name in ("ann", "bob", "cleo", "zoe", "idle"):
        await platform.create_user(name, f"{name}@example.org")
    made = [("bob", 0), ("ann", 0), ("cleo", -1), ("ann", 2), ("bob", 2), ("ann", 2), ("zoe", 6), ("ann", 5)]
    columns = [f"run-{n}" for n in range(len(made))], [name for name, _ in made], [at for _, at in made]
    await sql.execute(RUNS, graph.id, graph.version, NOON, *columns)


@pytest.mark.parametrize(
    ("start", "end", "active"),
    [
        (0, 5, ["ann", "bob"]),
        (-1, 6, ["ann", "bob", "cleo", "zoe"]),
        (-1, -1, ["cleo"]),
        (5, 6, ["ann", "zoe"]),
        (3, 4, []),
        (-9, -2, []),
        (7, 9, []),
    ],
)
async def test_each_user_with_a_run_in_this_time_is_named_once_both_ends_included(
    platform: AsyncPlatform, runs, start, end, active
):
    assert await platform.get_active_user_ids_in_timerange(NOON + start * SECOND, NOON + end * SECOND) == active


async def test_the_pages_together_name_everybody_though_runs_share_a_moment(platform: AsyncPlatform, runs):
    pages, cursor = [], None
    while not pages or cursor is not None:
        ids, cursor = await platform.get_active_user_ids_page(NOON, NOON + 5 * SECOND, limit=4, cursor=cursor)
        pages.append(ids)

    assert pages == [["ann", "bob"], ["ann"]]


async def test_a_page_that_looked_through_all_it_was_allowed_to_may_be_followed_by_an_empty_one(
    platform: AsyncPlatform, runs
):
    first, cursor = await platform.get_active_user_ids_page(NOON, NOON + 2 * SECOND, limit=5)

    last = await platform.get_active_user_ids_page(NOON, NOON + 2 * SECOND, limit=5, cursor=cursor)

    assert (first, last) == (["ann", "bob"], ([], None))


async def test_a_cursor_of_an_earlier_time_does_not_lead_out_of_this_one(platform: AsyncPlatform, runs):
    _, cursor = await platform.get_active_user_ids_page(NOON - 9 * SECOND, NOON, limit=1)

    page = await platform.get_active_user_ids_page(NOON + 5 * SECOND, NOON + 9 * SECOND, cursor=cursor)

    assert page == (["ann", "zoe"], None)


async def test_a_time_without_a_zone_is_utc(platform: AsyncPlatform, runs):
    naive = NOON.replace(tzinfo=None)

    assert await platform.get_active_user_ids_in_timerange(naive, naive) == ["ann", "bob"]


async def test_an_end_before_the_start_is_refused(platform: AsyncPlatform):
    with pytest.raises(InvalidRequest, match="is before start_time") as refused:
        await platform.get_active_user_ids_in_timerange(NOON, NOON - SECOND)

    assert refused.value.details == {"reason": "invalid_argument", "argument": "end_time"}


@pytest.mark.parametrize("cursor", ["", "abc", "WyJub29uIiwgInJ1biJd"])
async def test_a_cursor_of_ones_own_making_is_refused(platform: AsyncPlatform, cursor):
    with pytest.raises(InvalidRequest, match="get_active_user_ids_page gave") as refused:
        await platform.get_active_user_ids_page(NOON, NOON, cursor=cursor)

    assert refused.value.details["argument"] == "cursor"


@pytest.mark.parametrize("limit", [0, 10_001])
async def test_a_page_looks_through_one_run_at_least_and_ten_thousand_at_most(platform: AsyncPlatform, limit):
    with pytest.raises(InvalidRequest) as refused:
        await platform.get_active_user_ids_page(NOON, NOON, limit=limit)

    assert refused.value.details["argument"] == "limit"
