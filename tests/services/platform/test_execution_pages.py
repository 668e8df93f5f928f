"""get_graph_executions: filters and pages."""

from __future__ import annotations

import asyncio
import base64

import pytest

from rpc_client.contract.platform import AsyncPlatform
from rpc_client.errors import InvalidRequest
from tests.services.platform.given import line_graph


async def test_executions_come_in_pages_newest_first_while_others_begin(platform: AsyncPlatform, owner, graph):
    made = [(await platform.create_graph_execution(graph.id, 1, {}, owner)).id for _ in range(7)]

    read, cursor = await platform.get_graph_executions(owner, limit=3)
    while cursor is not None:
        await platform.create_graph_execution(graph.id, 1, {}, owner)
        page, cursor = await platform.get_graph_executions(owner, limit=3, cursor=cursor)
        read += page

    assert [execution.id for execution in read] == made[::-1]


async def test_pages_are_complete_for_ten_readers_while_forty_others_begin(platform: AsyncPlatform, owner, graph):
    made = [(await platform.create_graph_execution(graph.id, 1, {}, owner)).id for _ in range(20)]

    async def read(limit: int) -> list[str]:
        page, cursor = await platform.get_graph_executions(owner, limit=limit)
        found = [execution.id for execution in page]
        while cursor is not None:
            page, cursor = await platform.get_graph_executions(owner, limit=limit, cursor=cursor)
            found += [execution.id for execution in page]
        return found

    begun = [platform.create_graph_execution(graph.id, 1, {}, owner) for _ in range(40)]
    found = await asyncio.gather(*(read(limit) for limit in range(1, 11)), *begun)

    for ids in found[:10]:
        assert len(set(ids)) == len(ids)
        assert [execution_id for execution_id in ids if execution_id in made] == made[::-1]


async def test_executions_of_one_moment_are_all_read(platform: AsyncPlatform, owner, graph, sql):
    made = [(await platform.create_graph_execution(graph.id, 1, {}, owner)).id for _ in range(5)]
    await sql.execute("update platform.graph_executions set created_at = '2026-01-01'")

    read, cursor = await platform.get_graph_executions(owner, limit=2)
    while cursor is not None:
        page, cursor = await platform.get_graph_executions(owner, limit=2, cursor=cursor)
        read += page

    assert sorted(execution.id for execution in read) == sorted(made)


async def test_a_last_page_that_is_full_has_no_next(platform: AsyncPlatform, owner, execution):
    assert await platform.get_graph_executions(owner, limit=1) == (
        [await platform.get_graph_execution(owner, execution.id)],
        None,
    )


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, "abcd"),
        ({"graph_id": "A"}, "abc"),
        ({"graph_version": 1}, "abd"),
        ({"graph_id": "A", "graph_version": 1}, "ab"),
        ({"preset_id": "p"}, "bd"),
        ({"preset_id": "p", "graph_id": "A"}, "b"),
        ({"preset_id": "p", "graph_version": 1}, "bd"),
        ({"preset_id": "p", "graph_id": "B", "graph_version": 1}, "d"),
        ({"preset_id": "q"}, ""),
        ({"graph_id": "none"}, ""),
    ],
)
async def test_executions_are_found_by_every_set_of_filters(platform: AsyncPlatform, owner, stranger, filters, wanted):
    for graph_id in ("A", "A", "B"):
        await platform.create_graph(line_graph(owner, id=graph_id))
    await platform.list_graph("A", 1)
    made = {}
    for name, graph_id, version, preset in [
        ("a", "A", 1, None),
        ("b", "A", 1, "p"),
        ("c", "A", 2, None),
        ("d", "B", 1, "p"),
    ]:
        made[(await platform.create_graph_execution(graph_id, version, {}, owner, preset)).id] = name
    await platform.create_graph_execution("A", 1, {}, stranger, "p")

    found, cursor = await platform.get_graph_executions(owner, **filters)

    assert "".join(made[execution.id] for execution in found) == wanted[::-1]
    assert cursor is None


@pytest.mark.parametrize(
    "cursor", ["", "x", "1", "é", base64.urlsafe_b64encode(b'["2026-01-01T00:00:00Z","\\u0000"]').decode()]
)
async def test_a_cursor_that_no_page_gave_is_refused(platform: AsyncPlatform, owner, cursor):
    with pytest.raises(InvalidRequest, match="cursor") as refused:
        await platform.get_graph_executions(owner, cursor=cursor)

    assert refused.value.details["argument"] == "cursor"


@pytest.mark.parametrize("limit", [0, 1001, -1])
async def test_a_page_has_1_to_1000_executions(platform: AsyncPlatform, owner, limit):
    with pytest.raises(InvalidRequest, match="limit"):
        await platform.get_graph_executions(owner, limit=limit)
