"""The demo's executor against a stub: what it asks of the platform, in which order, and when the platform says no."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rpc_client import InsufficientCredits
from rpc_client.contract.platform import (
    AgentExecutionStatus,
    AgentNode,
    AgentNodeLink,
    GraphExecutionWithNodes,
    GraphModel,
    NodeExecutionResult,
)
from rpc_client.testing import StubClient
from worker.demo.blocks import BLOCKS
from worker.demo.orders import Order, Run
from worker.demo.walk import execute

BLOCK = {block.name: block_id for block_id, block in BLOCKS.items()}
COST = {block_id: block.cost for block_id, block in BLOCKS.items()}
FOR_WHOM = AgentNodeLink(source_id="audience", source_name="result", sink_id="summary", sink_name="audience")
TEXTS = AgentNodeLink(source_id="texts", source_name="result", sink_id="summary", sink_name="texts")
GRAPH = GraphModel(
    id="graph",
    user_id="ada",
    nodes=[
        AgentNode(id="audience", block_id=BLOCK["choice"]),
        AgentNode(id="texts", block_id=BLOCK["input"]),
        AgentNode(
            id="summary", block_id=BLOCK["summary"], input_default={"max_words": 3}, input_links=[FOR_WHOM, TEXTS]
        ),
    ],
    links=[FOR_WHOM, TEXTS],
)
"""Two inputs that meet in a summary."""
NODES = {node.id: node for node in GRAPH.nodes}
INPUTS: dict[str, dict[str, Any]] = {"audience": {"value": "investors"}, "texts": {"value": ["rates are up again"]}}
RUN = Run(user_id="ada", starting_inputs=INPUTS)
ORDER = Order(graph_id=GRAPH.id, graph_version=1, at_once=1, runs=[RUN])
QUEUED, RUNNING, COMPLETED = (AgentExecutionStatus[name] for name in ("QUEUED", "RUNNING", "COMPLETED"))


def node_run(node_id: str, **fields: Any) -> NodeExecutionResult:
    at = {name: datetime.now(UTC) for name in ("add_time", "queue_time", "start_time", "end_time")}
    ids = {"user_id": "ada", "graph_id": "graph", "graph_version": 1, "graph_exec_id": "run", "node_id": node_id}
    named = {"node_exec_id": f"run-{node_id}", "block_id": NODES[node_id].block_id, "status": QUEUED}
    return NodeExecutionResult(**{**ids, **named, **at, "input_data": {}, "output_data": {}, **fields})


@pytest.fixture
def stub(rowcall_stub: StubClient) -> StubClient:
    """A platform on which everything goes well."""
    platform, pins = rowcall_stub.platform, dict[str, Any]()

    def fill(node_id: str, graph_exec_id: str, input_name: str, input_data: Any, node_exec_id: str | None) -> Any:
        pins[input_name] = input_data
        return f"run-{node_id}", pins

    platform.get_graph.answers(GRAPH)
    platform.create_graph_execution.answers(
        GraphExecutionWithNodes(
            id="run",
            user_id="ada",
            graph_id="graph",
            graph_version=1,
            status=QUEUED,
            created_at=datetime.now(UTC),
            inputs={},
            outputs={},
            node_executions=[node_run(node_id, input_data=INPUTS.get(node_id, {})) for node_id in NODES],
        )
    )
    platform.update_graph_execution_start_time.answers(None)
    platform.update_graph_execution_stats.answers(None)
    platform.spend_credits.answers(400)
    platform.update_node_execution_status.answers_by(lambda run, status, *_: node_run(run[4:], status=status))
    platform.upsert_execution_output.answers(None)
    platform.upsert_execution_input.answers_by(fill)
    platform.get_connected_output_nodes.answers_by(
        lambda node_id, output: [
            (NODES[link.sink_id], link)
            for link in GRAPH.links
            if (link.source_id, link.source_name) == (node_id, output)
        ]
    )
    return rowcall_stub


def steps_of(stub: StubClient, node_exec_id: str) -> list[str]:
    """What happened to one run of a node, in order."""
    told: list[str] = []
    for call in stub.calls:
        if call.method == "platform.spend_credits" and call.arguments["metadata"].node_exec_id == node_exec_id:
            told.append("paid")
        elif call.method == "platform.update_node_execution_status" and call.arguments["node_exec_id"] == node_exec_id:
            told.append(call.arguments["status"].value)
        elif call.method == "platform.upsert_execution_output" and call.arguments["node_exec_id"] == node_exec_id:
            told.append(f"{call.arguments['output_name']}: {call.arguments['output_data']}")
    return told


async def test_a_node_is_paid_for_before_it_runs_and_completes_after_its_outputs(stub: StubClient):
    await execute(stub.platform, ORDER, RUN)

    assert steps_of(stub, "run-audience") == ["paid", "RUNNING", "result: investors", "COMPLETED"]


async def test_where_branches_join_the_node_runs_once_with_all_its_pins(stub: StubClient):
    await execute(stub.platform, ORDER, RUN)

    assert len(stub.platform.upsert_execution_input.calls) == 2
    assert steps_of(stub, "run-summary") == ["paid", "RUNNING", "response: investors: rates are up", "COMPLETED"]


async def test_the_execution_ends_completed_with_what_it_cost(stub: StubClient):
    await execute(stub.platform, ORDER, RUN)

    started, completed = stub.platform.update_graph_execution_stats.calls
    cost = sum(COST[node.block_id] for node in GRAPH.nodes)
    assert (started.arguments["status"], started.arguments["stats"]) == (RUNNING, None)
    assert completed.arguments == {
        "graph_exec_id": "run",
        "status": COMPLETED,
        "stats": {"cost": cost, "node_count": 3},
    }
    assert sum(call.arguments["cost"] for call in stub.platform.spend_credits.calls) == cost


async def test_without_credits_no_node_runs_and_the_execution_does_not_complete(stub: StubClient):
    stub.platform.spend_credits.raises(InsufficientCredits("balance 0 is below 1", {"balance": 0, "cost": 1}))

    with pytest.RaisesGroup(InsufficientCredits, InsufficientCredits):  # both inputs begin at once
        await execute(stub.platform, ORDER, RUN)

    assert stub.platform.update_node_execution_status.calls == []
    assert [call.arguments["status"] for call in stub.platform.update_graph_execution_stats.calls] == [RUNNING]
