"""Who asks with a user_id is answered about that user alone, and changes nothing of anybody else's."""

from __future__ import annotations

import json
from dataclasses import replace

import asyncpg
import pytest
from pydantic_core import to_jsonable_python

from rpc_client import RemoteError
from rpc_client.contract.platform import AsyncPlatform, Platform
from tests.services.platform.case import Place
from tests.services.platform.cases import CASES, GRANT
from tests.services.platform.given import line_graph
from worker.keys import new_key
from worker.settings import WorkerSettings

WORKS = {case.method: case for case in CASES if case.kind == "works"}
METHODS = [method.attribute for method in Platform.methods().values() if "user_id" in method.parameters]


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    """With a key, so that what must be sealed can be kept."""
    return WorkerSettings.model_validate({**settings.model_dump(), "encryption_keys": new_key()})


@pytest.fixture
async def place(platform: AsyncPlatform, owner: str) -> Place:
    """The owner's, who has credits, and a run of a graph that everybody may run."""
    await platform.create_user("olga", "olga@example.org")
    graph, private = [await platform.create_graph(line_graph("olga")) for _ in range(2)]
    await platform.list_graph(graph.id, 1)
    await platform.add_credits(owner, GRANT, "welcome")
    execution = await platform.create_graph_execution(graph.id, 1, {graph.nodes[0].id: {"value": owner}}, owner)
    return Place(owner, graph, private, execution)


async def rows(sql: asyncpg.Connection) -> set[str]:
    """Everything the family keeps."""
    tables = await sql.fetch("select tablename from pg_tables where schemaname = 'platform'")
    found = [await sql.fetch(f"select to_jsonb(t)::text as row from platform.{table[0]} as t") for table in tables]
    return {row["row"] for table in found for row in table}


@pytest.mark.parametrize("name", METHODS)
async def test_a_stranger_sees_and_changes_nothing_of_the_owners(
    platform: AsyncPlatform, place, owner, stranger, sql, name
):
    case = WORKS[name]
    if case.given is not None:
        await case.given(platform, place)
    before = await rows(sql)

    try:
        answer = await getattr(platform, name)(*case.arguments(replace(place, user=stranger)))
    except RemoteError as refused:
        answer = [refused.message, refused.details]

    assert owner not in json.dumps(to_jsonable_python(answer))
    assert [row for row in before - await rows(sql) if stranger not in row] == []
