"""Exported agents: each is imported from its file, and a run of it is walked to its end.

The project's own files are, and those of any folder that ROWCALL_TEST_GRAPHS names.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rpc_client.contract.platform import AgentNode, AsyncPlatform, BlockType, GraphModel
from tests.acceptance.test_cli import Rowcall
from tests.acceptance.walker import COST, Status, Walk
from tests.services.platform.given import FILES, link, node

GIVEN = os.environ.get("ROWCALL_TEST_GRAPHS")
EXPORTS = sorted(FILES.glob("*.json")) + (sorted(Path(GIVEN).glob("*.json")) if GIVEN else [])
PLENTY = 10**6

pytestmark = pytest.mark.timeout(120)


def agent(runs: GraphModel) -> AgentNode:
    """A node that stands for this graph."""
    return node(BlockType.AGENT, input_default={"graph_id": runs.id, "graph_version": runs.version})


def large_agent() -> GraphModel:
    """180 KB of an agent: long prompts, a circle of links, and an agent within an agent that it runs."""
    ask = node(BlockType.INPUT, input_default={"name": "topic", "value": "tides"})
    steps = [node(input_default={"prompt": f"{n} say more " * 250}) for n in range(55)]
    tell = node(BlockType.OUTPUT, input_default={"name": "text"})
    innermost = GraphModel(id="innermost", version=2, nodes=[node()])
    inner = GraphModel(id="inner", version=1, nodes=[agent(innermost)])
    line = [ask, *steps[:25], agent(inner), *steps[25:], tell]
    links = [link(one, "out", other, "in") for one, other in itertools.pairwise(line)]
    links.append(link(steps[40], "again", steps[30], "more"))
    return GraphModel(id="large", name="large", nodes=line, links=links, sub_graphs=[inner, innermost])


@pytest.fixture
async def db(client) -> AsyncPlatform:
    return AsyncPlatform(client.with_options(timeout_s=60))


@pytest.fixture
def rowcall(settings, tmp_path) -> Rowcall:
    return Rowcall(settings, tmp_path)


ENDS = ("source_id", "sink_id", "source_name", "sink_name")


def parts(exported: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    """The graphs of a file: how many nodes, and how many links of them differ."""
    for part in (exported, *exported.get("sub_graphs", [])):
        yield part["id"], len(part["nodes"]), len({tuple(wire[end] for end in ENDS) for wire in part["links"]})


async def imported(rowcall: Rowcall, db: AsyncPlatform, file: Path) -> GraphModel:
    """The graph of this file as the command stored it; everything of it is there."""
    ran = await rowcall("graphs", "import", str(file), "--user", "importer")
    assert (ran.code, ran.err) == (0, "")
    exported = json.loads(file.read_text())
    graph = await db.get_graph(exported["id"], exported["version"], "importer", include_subgraphs=True)
    assert graph is not None
    found = [(part.id, len(part.nodes), len(part.links)) for part in (graph, *graph.sub_graphs)]
    assert sorted(found) == sorted(parts(exported))
    return graph


async def assert_walks_to_its_end(db: AsyncPlatform, graph: GraphModel) -> None:
    """A run of it completes: every node ran, and all that it was to tell was told."""
    await db.add_credits("importer", PLENTY, "welcome")
    created = await db.create_graph_execution(graph.id, graph.version, {}, "importer")

    await Walk(db, "importer", created.id).run()

    ended = await db.get_graph_execution("importer", created.id)
    runs = await db.get_node_executions(created.id)
    tells = {n.input_default["name"] for n in graph.nodes if n.block.type is BlockType.OUTPUT}
    assert (ended.status, ended.stats.node_exec_count) == (Status.COMPLETED, len(graph.nodes))
    assert ended.stats.cost == COST * len(graph.nodes)
    assert sorted(n.node_id for n in runs if n.status is Status.COMPLETED) == sorted(n.id for n in graph.nodes)
    assert {n.status for n in runs} <= {Status.COMPLETED, Status.CANCELED}
    assert ended.outputs.keys() == tells
    others, _ = await db.get_graph_executions("importer", limit=1000)
    assert {other.status for other in others} == {Status.COMPLETED}


@pytest.mark.parametrize("file", EXPORTS, ids=lambda file: file.stem)
async def test_an_exported_agent_is_imported_and_walked_to_its_end(worker, rowcall, db, file):
    await assert_walks_to_its_end(db, await imported(rowcall, db, file))


async def test_so_is_a_large_one_with_a_circle_and_agents_within_agents(worker, rowcall, db, tmp_path):
    file = tmp_path / "large.json"
    file.write_text(large_agent().model_dump_json())
    assert file.stat().st_size > 180_000

    await assert_walks_to_its_end(db, await imported(rowcall, db, file))
