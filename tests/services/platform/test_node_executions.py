"""The runs of nodes: reading them, in pages too; inputs, outputs and stats."""

from __future__ import annotations

import asyncio

import pytest

from rpc_client.contract.platform import AsyncPlatform, NodeExecutionUpdate
from rpc_client.errors import Conflict, InvalidRequest, NotFoundError
from tests.services.platform.given import Status, loops, unknown

Update = NodeExecutionUpdate


@pytest.fixture
def run(execution):
    """A run of the second node, which got no inputs."""
    return execution.node_executions[1]


async def test_a_node_execution_is_read_with_all_that_belongs_to_it(platform: AsyncPlatform, execution, graph):
    first = execution.node_executions[0]

    found = await platform.get_node_execution(first.node_exec_id)

    assert found == first
    assert (found.user_id, found.graph_id, found.graph_version) == (execution.user_id, graph.id, graph.version)
    assert (found.graph_exec_id, found.node_id, found.block_id) == (execution.id, graph.nodes[0].id, "block-INPUT")
    assert (found.output_data, found.stats, found.queue_time, found.end_time) == ({}, None, None, None)


async def test_what_does_not_exist_reads_as_none_or_empty(platform: AsyncPlatform, execution):
    assert await platform.get_node_execution(unknown()) is None
    assert await platform.get_latest_node_execution(execution.id, unknown()) is None
    assert await platform.get_node_executions_page(unknown()) == ([], None)
    assert await platform.get_node_executions(unknown()) == []


async def test_all_node_executions_come_in_the_order_of_creation(platform: AsyncPlatform, execution, run, sql):
    await loops(sql, execution.id, run.node_id, 1200)

    found = await platform.get_node_executions(execution.id)

    assert [n.node_exec_id for n in found[:4]] == [n.node_exec_id for n in execution.node_executions]
    assert [n.input_data["turn"] for n in found[4:]] == list(range(1, 1201))


async def test_pages_are_complete_while_node_executions_are_added(platform: AsyncPlatform, execution, run):
    read, cursor = await platform.get_node_executions_page(execution.id, limit=2)
    while cursor is not None:
        if len(read) < 8:
            await platform.upsert_execution_input(run.node_id, execution.id, "text", len(read))
            await platform.upsert_execution_input(run.node_id, execution.id, "text", len(read))
        page, cursor = await platform.get_node_executions_page(execution.id, limit=2, cursor=cursor)
        read += page

    now = await platform.get_node_executions(execution.id)
    assert len(now) > 8
    assert [n.node_exec_id for n in read] == [n.node_exec_id for n in now]


async def test_a_last_page_that_is_full_has_no_next(platform: AsyncPlatform, execution):
    page, cursor = await platform.get_node_executions_page(execution.id, limit=4)

    assert (len(page), cursor) == (4, None)


@pytest.mark.parametrize("wrong", [{"cursor": "x"}, {"cursor": ""}, {"cursor": "-1"}, {"limit": 0}, {"limit": 1001}])
async def test_pages_that_nobody_gave_are_refused(platform: AsyncPlatform, execution, wrong):
    with pytest.raises(InvalidRequest, match=next(iter(wrong))):
        await platform.get_node_executions_page(execution.id, **wrong)


async def test_the_latest_is_the_newest_that_is_not_pending(platform: AsyncPlatform, execution, run):
    first = run.node_exec_id
    await platform.upsert_execution_input(run.node_id, execution.id, "text", 1)
    second, _ = await platform.upsert_execution_input(run.node_id, execution.id, "text", 2)
    await platform.upsert_execution_input(run.node_id, execution.id, "text", 3)
    assert await platform.get_latest_node_execution(execution.id, run.node_id) is None

    await platform.update_node_execution_status(second, Status.QUEUED)
    await platform.update_node_execution_status(first, Status.RUNNING)

    latest = await platform.get_latest_node_execution(execution.id, run.node_id)
    assert latest == await platform.get_node_execution(second)


async def test_an_input_fills_the_pending_run(platform: AsyncPlatform, execution, run, events):
    filled = await platform.upsert_execution_input(run.node_id, execution.id, "prompt", {"deep": [1, None]})

    assert filled == (run.node_exec_id, {"prompt": {"deep": [1, None]}})
    assert (await platform.get_node_execution(run.node_exec_id)).input_data == filled[1]
    (event,) = events
    assert (event.type, event.aggregate_id) == ("NodeExecutionInputAdded", run.node_exec_id)
    assert event.data == {"graph_exec_id": execution.id, "node_id": run.node_id, "input_name": "prompt"}


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}])
async def test_a_pin_with_nothing_in_it_is_filled_all_the_same(platform: AsyncPlatform, execution, run, value):
    first = await platform.upsert_execution_input(run.node_id, execution.id, "prompt", value)
    second = await platform.upsert_execution_input(run.node_id, execution.id, "prompt", value)

    assert first == (run.node_exec_id, {"prompt": value})
    assert second[0] != first[0]
    assert (await platform.get_node_execution(second[0])).input_data == {"prompt": value}


async def test_a_pin_that_every_pending_run_has_makes_a_new_run(platform: AsyncPlatform, execution, run):
    await platform.upsert_execution_input(run.node_id, execution.id, "a", 1)

    second, inputs = await platform.upsert_execution_input(run.node_id, execution.id, "a", 2)

    assert inputs == {"a": 2}
    created = await platform.get_node_execution(second)
    assert (created.status, created.node_id, created.user_id) == (Status.PENDING, run.node_id, execution.user_id)
    assert await platform.upsert_execution_input(run.node_id, execution.id, "b", 3) == (
        run.node_exec_id,
        {"a": 1, "b": 3},
    )
    assert await platform.upsert_execution_input(run.node_id, execution.id, "b", 4) == (second, {"a": 2, "b": 4})


async def test_a_run_that_is_not_pending_takes_no_inputs(platform: AsyncPlatform, execution, run):
    await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED)

    filled, _ = await platform.upsert_execution_input(run.node_id, execution.id, "a", 1)

    assert filled != run.node_exec_id
    with pytest.raises(Conflict, match="is QUEUED; only a PENDING one takes inputs") as refused:
        await platform.upsert_execution_input(run.node_id, execution.id, "a", 1, run.node_exec_id)
    assert refused.value.details["status"] == "QUEUED"


async def test_a_chosen_run_is_filled_and_no_other(platform: AsyncPlatform, execution, run):
    await platform.upsert_execution_input(run.node_id, execution.id, "a", 1)
    second, _ = await platform.upsert_execution_input(run.node_id, execution.id, "a", 2)

    filled = await platform.upsert_execution_input(run.node_id, execution.id, "b", 3, second)

    assert filled == (second, {"a": 2, "b": 3})


async def test_a_chosen_run_that_has_the_pin_conflicts_and_keeps_it(platform: AsyncPlatform, execution, run, events):
    await platform.upsert_execution_input(run.node_id, execution.id, "a", 1)
    events.clear()

    with pytest.raises(Conflict, match="has its input 'a' already"):
        await platform.upsert_execution_input(run.node_id, execution.id, "a", 2, run.node_exec_id)

    assert (await platform.get_node_execution(run.node_exec_id)).input_data == {"a": 1}
    assert events == []


async def test_inputs_for_what_does_not_exist_are_refused(platform: AsyncPlatform, execution, run, owner, graph, sql):
    other = await platform.create_graph_execution(graph.id, graph.version, {}, owner)
    rows = await sql.fetchval("select count(*) from platform.node_executions")

    for node_id, graph_exec_id, node_exec_id in [
        (unknown(), execution.id, None),
        (run.node_id, unknown(), None),
        (run.node_id, execution.id, unknown()),
        (run.node_id, other.id, run.node_exec_id),
        (execution.node_executions[0].node_id, execution.id, run.node_exec_id),
    ]:
        with pytest.raises(NotFoundError):
            await platform.upsert_execution_input(node_id, graph_exec_id, "a", 1, node_exec_id)

    assert await sql.fetchval("select count(*) from platform.node_executions") == rows


async def test_fifty_inputs_for_one_pin_at_once_fill_every_run_once(platform: AsyncPlatform, execution, run):
    for n in range(20):
        await platform.upsert_execution_input(run.node_id, execution.id, "a", n)

    filled = await asyncio.gather(
        *(platform.upsert_execution_input(run.node_id, execution.id, "b", n) for n in range(50))
    )

    runs = [n for n in await platform.get_node_executions(execution.id) if n.node_id == run.node_id]
    assert {n.node_exec_id: n.input_data for n in runs} == dict(filled)
    assert len(runs) == 50
    assert [n.input_data.get("a") for n in runs] == [*range(20), *[None] * 30]
    assert sorted(n.input_data["b"] for n in runs) == list(range(50))


async def test_ten_pins_at_once_fill_one_run(platform: AsyncPlatform, execution, run):
    pins = [f"pin {n}" for n in range(10)]

    filled = await asyncio.gather(
        *(platform.upsert_execution_input(run.node_id, execution.id, pin, pin) for pin in pins)
    )

    assert {node_exec_id for node_exec_id, _ in filled} == {run.node_exec_id}
    assert (await platform.get_node_execution(run.node_exec_id)).input_data == {pin: pin for pin in pins}


async def test_ten_pins_at_once_without_a_pending_run_make_one(platform: AsyncPlatform, execution, run):
    await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED)

    filled = await asyncio.gather(
        *(platform.upsert_execution_input(run.node_id, execution.id, f"pin {n}", n) for n in range(10))
    )

    (made,) = {node_exec_id for node_exec_id, _ in filled}
    assert (await platform.get_node_execution(made)).input_data == {f"pin {n}": n for n in range(10)}


async def test_every_output_is_kept_in_order(platform: AsyncPlatform, run, events):
    for name, value in [("out", 2), ("out", 1), ("error", "bad"), ("out", None), ("out", [])]:
        assert await platform.upsert_execution_output(run.node_exec_id, name, value) is None

    found = await platform.get_node_execution(run.node_exec_id)
    assert found.output_data == {"out": [2, 1, None, []], "error": ["bad"]}
    assert {event.type for event in events} == {"NodeExecutionOutputAdded"}
    assert [event.data["output_name"] for event in events] == ["out", "out", "error", "out", "out"]


async def test_outputs_of_an_unknown_run_are_refused(platform: AsyncPlatform, sql, events):
    with pytest.raises(NotFoundError, match="there is no node execution"):
        await platform.upsert_execution_output(unknown(), "out", 1)

    assert await sql.fetchval("select count(*) from platform.node_outputs") == 0
    assert events == []


async def test_node_stats_merge_and_leave_the_status(platform: AsyncPlatform, run, events):
    await platform.update_node_execution_stats(run.node_exec_id, {"walltime": 1.5, "llm": {"calls": 1}})

    found = await platform.update_node_execution_stats(run.node_exec_id, {"llm": {"retries": 2}, "error": None})

    assert found.stats == {"walltime": 1.5, "llm": {"retries": 2}, "error": None}
    assert found.model_copy(update={"stats": None}) == run
    assert found == await platform.get_node_execution(run.node_exec_id)
    assert [event.type for event in events] == ["NodeExecutionStatsUpdated"] * 2


@pytest.mark.parametrize("stats", [{}, {"walltime": 1.5}])
async def test_node_stats_that_say_nothing_new_change_nothing(platform: AsyncPlatform, run, events, stats):
    before = await platform.update_node_execution_stats(run.node_exec_id, {"walltime": 1.5})
    events.clear()

    assert await platform.update_node_execution_stats(run.node_exec_id, stats) == before
    assert events == []


async def test_stats_of_an_unknown_run_are_refused(platform: AsyncPlatform, events):
    with pytest.raises(NotFoundError, match="there is no node execution"):
        await platform.update_node_execution_stats(unknown(), {"walltime": 1})

    assert events == []
