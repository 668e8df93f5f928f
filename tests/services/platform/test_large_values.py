"""Executions that hold much: they can always be moved, and read in full."""

from __future__ import annotations

import pytest

from rpc_client.contract.platform import AsyncPlatform, NodeExecutionUpdate
from rpc_client.errors import ResultTooLarge
from tests.services.platform.given import AGENT, Status, export

MUCH = "a lot, " * 25_000
EMPTY = {"input_data": {}, "output_data": {}, "stats": None, "left_out": ["input_data", "output_data", "stats"]}


@pytest.fixture
async def run(platform: AsyncPlatform, execution, events):
    """A run of the graph's OUTPUT node that got and gave much."""
    tell = execution.node_executions[3]
    await platform.upsert_execution_input(tell.node_id, execution.id, "value", MUCH)
    for _ in range(2):
        await platform.upsert_execution_output(tell.node_exec_id, "out", MUCH)
    events.clear()
    return await platform.get_node_execution(tell.node_exec_id)


async def test_a_node_that_holds_much_can_be_moved_and_is_read_in_full(platform: AsyncPlatform, run):
    moved = await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED, None, {"n": 1})

    found = await platform.get_node_execution(run.node_exec_id)
    assert (moved.status, moved.model_dump(include=EMPTY.keys())) == (Status.QUEUED, EMPTY)
    assert found.model_copy(update=EMPTY) == moved
    assert (found.input_data, found.output_data, found.stats) == ({"value": MUCH}, {"out": [MUCH, MUCH]}, {"n": 1})
    assert found.left_out == []


async def test_stats_of_a_node_that_holds_much_can_be_changed(platform: AsyncPlatform, run):
    changed = await platform.update_node_execution_stats(run.node_exec_id, {"n": 1})

    assert changed.model_dump(include=EMPTY.keys()) == EMPTY
    assert (await platform.get_node_execution(run.node_exec_id)).stats == {"n": 1}


async def test_a_batch_that_holds_much_can_be_moved(platform: AsyncPlatform, execution, run, events):
    ids = [run.node_exec_id, execution.node_executions[0].node_exec_id]

    moved = await platform.update_node_execution_status_batch(
        [NodeExecutionUpdate(node_exec_id=node_exec_id, status=Status.QUEUED) for node_exec_id in ids]
    )

    assert [answer.model_dump(include=EMPTY.keys()) for answer in moved] == [EMPTY, EMPTY]
    assert [answer.status for answer in moved] == [Status.QUEUED, Status.QUEUED]
    assert len(events) == 2


async def test_a_graph_that_holds_much_can_be_moved_and_is_read_in_full(platform: AsyncPlatform, owner, execution, run):
    await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED)

    moved = await platform.update_graph_execution_stats(execution.id, Status.RUNNING, {"cost": 1})

    found = await platform.get_graph_execution(owner, execution.id)
    assert (moved.status, moved.inputs, moved.outputs, moved.stats) == (Status.RUNNING, {}, {}, None)
    assert moved.left_out == ["inputs", "outputs", "stats"]
    assert (found.outputs, found.stats.cost, found.left_out) == ({"answer": [MUCH]}, 1, [])


async def test_the_largest_batch_has_an_answer(platform: AsyncPlatform, owner):
    graph = await platform.create_graph(export(AGENT, owner))
    made = [await platform.create_graph_execution(graph.id, graph.version, {}, owner) for _ in range(29)]
    ids = [node.node_exec_id for execution in made for node in execution.node_executions][:200]

    moved = await platform.update_node_execution_status_batch(
        [NodeExecutionUpdate(node_exec_id=i, status=Status.QUEUED, execution_data={"x": "y" * 480}) for i in ids]
    )

    assert len(moved) == 200


async def test_inputs_that_no_answer_can_hold_are_refused_and_nothing_changes(platform: AsyncPlatform, execution, run):
    with pytest.raises(ResultTooLarge):
        await platform.upsert_execution_input(run.node_id, execution.id, "more", MUCH, run.node_exec_id)

    assert await platform.get_node_execution(run.node_exec_id) == run
