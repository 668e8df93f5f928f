"""A user with a graph and a run of it."""

from __future__ import annotations

import pytest

from rpc_client.contract.platform import AsyncPlatform, GraphExecutionWithNodes, GraphModel
from tests.services.platform.given import line_graph


@pytest.fixture
async def owner(platform: AsyncPlatform) -> str:
    """The user everything belongs to."""
    return (await platform.create_user("owner", "owner@example.org", "Olga Owner")).id


@pytest.fixture
async def stranger(platform: AsyncPlatform) -> str:
    """A user to whom nothing belongs."""
    return (await platform.create_user("stranger", "stranger@example.org")).id


@pytest.fixture
async def graph(platform: AsyncPlatform, owner: str) -> GraphModel:
    """An input, two nodes of work, an output: stored."""
    return await platform.create_graph(line_graph(owner))


@pytest.fixture
async def execution(
    platform: AsyncPlatform, owner: str, graph: GraphModel, events: list[dict[str, object]]
) -> GraphExecutionWithNodes:
    """A run of that graph; the events of what led to it are forgotten."""
    created = await platform.create_graph_execution(
        graph.id, graph.version, {graph.nodes[0].id: {"value": "why?"}}, owner
    )
    events.clear()
    return created
