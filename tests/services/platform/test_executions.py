"""create_graph_execution, get_graph_execution, …_meta, …_start_time, …_stats."""

from __future__ import annotations

import asyncio

import pytest

from rpc_client.contract.platform import (
    AsyncPlatform,
    BlockType,
    GraphExecution,
    GraphExecutionWithNodes,
    GraphModel,
    NodeExecutionResult,
)
from rpc_client.errors import InvalidRequest, NotFoundError, ResultTooLarge
from tests.services.platform.given import AGENT, Status, export, loops, node, unknown, waiting
from worker.services.platform.graphs import graph_lock


async def test_a_new_execution_is_queued_with_every_node_pending(platform: AsyncPlatform, owner, graph, events):
    start, *others = graph.nodes
    events.clear()

    created = await platform.create_graph_execution(graph.id, 1, {start.id: {"value": 0, "more": None}}, owner, "p-1")

    assert (created.user_id, created.graph_id, created.graph_version, created.preset_id) == (owner, graph.id, 1, "p-1")
    assert (created.status, created.started_at, created.ended_at, created.stats) == (Status.QUEUED, None, None, None)
    assert [n.node_id for n in created.node_executions] == [n.id for n in graph.nodes]
    assert {n.status for n in created.node_executions} == {Status.PENDING}
    assert created.node_executions[0].input_data == {"value": 0, "more": None}
    assert [n.input_data for n in created.node_executions[1:]] == [{}] * len(others)
    (event,) = events
    assert (event.type, event.aggregate_id) == ("GraphExecutionCreated", created.id)
    assert event.data == {"user_id": owner, "graph_id": graph.id, "graph_version": 1}


async def test_every_node_of_an_imported_agent_gets_its_execution(platform: AsyncPlatform, owner):
    graph = await platform.create_graph(export(AGENT, owner))

    created = await platform.create_graph_execution(graph.id, graph.version, {}, owner)

    assert [n.block_id for n in created.node_executions] == [n.block_id for n in graph.nodes]


async def test_what_was_created_is_what_is_read(platform: AsyncPlatform, execution, owner):
    assert await platform.get_graph_execution(owner, execution.id, include_node_executions=True) == execution


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"user_id": "nobody"}, "there is no user 'nobody'"),
        ({"graph_id": "none"}, "there is no graph 'none' version 1"),
        ({"graph_version": 2}, "version 2 that this user may run"),
        ({"starting_nodes_input": {"lost": {}}}, r"\['lost'\], which are no nodes"),
    ],
)
async def test_what_a_new_execution_lacks_is_named_and_nothing_is_made(
    platform: AsyncPlatform, owner, graph, sql, events, change, says
):
    events.clear()
    fitting = {"graph_id": graph.id, "graph_version": 1, "starting_nodes_input": {}, "user_id": owner}

    with pytest.raises(NotFoundError, match=says):
        await platform.create_graph_execution(**{**fitting, **change})

    assert await sql.fetchval("select count(*) from platform.graph_executions") == 0
    assert events == []


async def test_a_private_graph_is_run_by_its_owner_only_a_listed_one_by_all(platform: AsyncPlatform, graph, stranger):
    with pytest.raises(NotFoundError, match="that this user may run"):
        await platform.create_graph_execution(graph.id, 1, {}, stranger)

    await platform.list_graph(graph.id, 1)

    assert (await platform.create_graph_execution(graph.id, 1, {}, stranger)).user_id == stranger


async def test_a_run_waits_while_a_version_of_its_graph_is_made(platform: AsyncPlatform, owner, graph, sql, settings):
    async with sql.transaction():
        await sql.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", f"{settings.prefix}:{graph_lock(graph.id)}"
        )
        created = asyncio.ensure_future(platform.create_graph_execution(graph.id, 1, {}, owner))
        await waiting(sql, 1)
        assert not created.done()

    assert (await created).graph_id == graph.id


async def test_inputs_must_be_objects(platform: AsyncPlatform, owner, graph):
    with pytest.raises(InvalidRequest, match="starting_nodes_input"):
        await platform.create_graph_execution(graph.id, 1, {graph.nodes[0].id: "text"}, owner)


async def test_the_flag_decides_which_of_the_two_shapes_comes(platform: AsyncPlatform, owner, execution):
    plain = await platform.get_graph_execution(owner, execution.id)
    with_nodes = await platform.get_graph_execution(owner, execution.id, include_node_executions=True)

    assert type(plain) is GraphExecution
    assert type(with_nodes) is GraphExecutionWithNodes
    assert with_nodes.model_dump(exclude={"node_executions"}) == plain.model_dump()


async def test_executions_are_their_users_alone(platform: AsyncPlatform, execution, stranger):
    for user_id, execution_id in [(stranger, execution.id), (execution.user_id, unknown()), ("nobody", execution.id)]:
        assert await platform.get_graph_execution(user_id, execution_id) is None
        assert await platform.get_graph_execution(user_id, execution_id, include_node_executions=True) is None
        assert await platform.get_graph_execution_meta(user_id, execution_id) is None


async def test_meta_tells_the_same_without_inputs_and_outputs(platform: AsyncPlatform, owner, execution):
    meta = await platform.get_graph_execution_meta(owner, execution.id)

    assert meta.model_dump() == execution.model_dump(exclude={"inputs", "outputs", "left_out", "node_executions"})


async def test_more_than_1000_node_executions_are_for_pages(platform: AsyncPlatform, owner, execution, sql):
    await loops(sql, execution.id, execution.node_executions[1].node_id, 996)
    assert (
        len((await platform.get_graph_execution(owner, execution.id, include_node_executions=True)).node_executions)
        == 1000
    )
    await loops(sql, execution.id, execution.node_executions[1].node_id, 1)

    with pytest.raises(ResultTooLarge, match="get_node_executions_page"):
        await platform.get_graph_execution(owner, execution.id, include_node_executions=True)


async def finished(platform: AsyncPlatform, run: NodeExecutionResult, **inputs: object) -> None:
    await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED, inputs)
    await platform.update_node_execution_status(run.node_exec_id, Status.RUNNING)


async def test_inputs_and_outputs_are_those_of_the_input_and_output_blocks(platform: AsyncPlatform, owner, execution):
    ask, think, _, tell = execution.node_executions

    await finished(platform, ask, name="question", value="why?")
    await finished(platform, think, name="nothing", value="of both")
    await finished(platform, tell, name="answer", value={"text": "because"})

    found = await platform.get_graph_execution(owner, execution.id)
    assert found.inputs == {"question": "why?"}
    assert found.outputs == {"answer": [{"text": "because"}]}


async def test_name_and_value_that_a_run_does_not_give_are_the_nodes_defaults(platform: AsyncPlatform, owner, graph):
    created = await platform.create_graph_execution(graph.id, 1, {}, owner)
    assert (created.inputs, created.outputs) == ({}, {})

    for run in created.node_executions:
        await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED)

    found = await platform.get_graph_execution(owner, created.id)
    assert (found.inputs, found.outputs) == ({"question": "default"}, {"answer": [None]})


async def test_an_output_block_that_ran_again_and_again_told_all_in_order(platform: AsyncPlatform, owner, execution):
    tell = execution.node_executions[3]
    for value in (3, 1, 2, None):
        run, _ = await platform.upsert_execution_input(tell.node_id, execution.id, "value", value)
        await platform.update_node_execution_status(run, Status.QUEUED)

    assert (await platform.get_graph_execution(owner, execution.id)).outputs == {"answer": [3, 1, 2, None]}


async def test_an_output_without_a_name_and_a_webhooks_payload(platform: AsyncPlatform, owner):
    hook, tell = node(BlockType.WEBHOOK), node(BlockType.OUTPUT)
    graph = await platform.create_graph(GraphModel(user_id=owner, nodes=[hook, tell]))
    created = await platform.create_graph_execution(graph.id, 1, {hook.id: {"payload": [1]}}, owner)

    for run in created.node_executions:
        await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED)

    found = await platform.get_graph_execution(owner, created.id)
    assert (found.inputs, found.outputs) == ({"payload": [1]}, {})


async def test_the_start_is_stamped_once_and_lets_the_execution_run(platform: AsyncPlatform, owner, execution, events):
    assert await platform.update_graph_execution_start_time(execution.id) is None
    first = await platform.get_graph_execution_meta(owner, execution.id)
    await platform.update_graph_execution_start_time(execution.id)

    assert first.started_at is not None
    assert first.status is Status.RUNNING
    assert await platform.get_graph_execution_meta(owner, execution.id) == first
    (event,) = events
    assert (event.type, event.aggregate_id) == ("GraphExecutionStarted", execution.id)


@pytest.mark.parametrize("status", [Status.CANCELED, Status.FAILED])
async def test_the_start_moves_nothing_that_has_ended(platform: AsyncPlatform, owner, execution, status):
    ended = await platform.update_graph_execution_stats(execution.id, status)

    await platform.update_graph_execution_start_time(execution.id)

    found = await platform.get_graph_execution(owner, execution.id)
    assert found.started_at is not None
    assert found.model_copy(update={"started_at": None}) == ended


async def test_an_unknown_execution_cannot_start(platform: AsyncPlatform, events):
    with pytest.raises(NotFoundError, match="there is no graph execution"):
        await platform.update_graph_execution_start_time("none")

    assert events == []


async def test_stats_merge_by_key(platform: AsyncPlatform, execution, events):
    await platform.update_graph_execution_stats(execution.id, stats={"cost": 3, "walltime": 1.5, "mine": {"a": 1}})

    found = await platform.update_graph_execution_stats(
        execution.id, stats={"cost": 4, "mine": {"b": 2}, "error": None}
    )

    assert found.status is Status.QUEUED
    assert (found.stats.cost, found.stats.duration, found.stats.error) == (4, 1.5, None)
    assert (found.stats.walltime, found.stats.mine) == (1.5, {"b": 2})
    assert [event.type for event in events] == ["GraphExecutionStatsUpdated"] * 2


@pytest.mark.parametrize("stats", [None, {}, {"cost": 3}])
async def test_an_update_that_says_nothing_new_changes_nothing(platform: AsyncPlatform, execution, events, stats):
    before = await platform.update_graph_execution_stats(execution.id, stats={"cost": 3})
    events.clear()

    assert await platform.update_graph_execution_stats(execution.id, stats=stats) == before
    assert events == []


async def test_status_and_stats_change_in_one_step(platform: AsyncPlatform, owner, execution, events):
    await platform.update_graph_execution_stats(execution.id, Status.RUNNING)
    events.clear()

    found = await platform.update_graph_execution_stats(execution.id, Status.COMPLETED, {"cost": 9})

    assert (found.status, found.stats.cost) == (Status.COMPLETED, 9)
    assert found == await platform.get_graph_execution(owner, execution.id)
    (event,) = events
    assert (event.type, event.aggregate) == ("GraphExecutionStatusChanged", "graph_execution")
    assert (event.data["previous"], event.data["status"]) == ("RUNNING", "COMPLETED")


async def test_updating_an_unknown_execution_answers_none(platform: AsyncPlatform, events):
    assert await platform.update_graph_execution_stats("none", Status.RUNNING, {"cost": 1}) is None
    assert events == []


@pytest.mark.parametrize("stats", [{"cost": "much"}, {"walltime": [1]}, {"error": 5}])
async def test_stats_that_nobody_could_read_are_refused(platform: AsyncPlatform, execution, stats):
    with pytest.raises(InvalidRequest, match="stats"):
        await platform.update_graph_execution_stats(execution.id, stats=stats)
