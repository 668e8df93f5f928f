"""Which status may follow which, for graphs and for nodes, one at a time and in batches.

All tests of this file share one database, for there are many; each has a run of a graph of its own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from rpc_client.contract.platform import AsyncPlatform, GraphExecutionWithNodes, GraphModel, NodeExecutionUpdate
from rpc_client.errors import InvalidRequest, NotFoundError
from rpc_client.events import Event
from tests.conftest import FAMILIES
from tests.services.platform.given import Status, line_graph, unknown, waiting
from worker.servers import Servers
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker, scratch_database

Update = NodeExecutionUpdate
ALLOWED = {
    Status.PENDING: {Status.QUEUED, Status.RUNNING, Status.FAILED, Status.CANCELED},
    Status.QUEUED: {Status.RUNNING, Status.FAILED, Status.CANCELED},
    Status.RUNNING: {Status.COMPLETED, Status.FAILED, Status.CANCELED},
    Status.CANCELED: {Status.QUEUED, Status.RUNNING},
    Status.COMPLETED: set(),
    Status.FAILED: set(),
}
ENDED = {Status.COMPLETED, Status.FAILED, Status.CANCELED}
PAIRS = list(itertools.product(Status, Status))
LEGAL = pytest.mark.parametrize(("present", "wanted"), [pair for pair in PAIRS if pair[1] in ALLOWED[pair[0]]])
REFUSED = pytest.mark.parametrize(
    ("present", "wanted"), [pair for pair in PAIRS if pair[0] is not pair[1] and pair[1] not in ALLOWED[pair[0]]]
)
SAME = pytest.mark.parametrize("status", list(Status))


def test_the_table_is_complete():
    assert len(PAIRS) == 36
    assert sum(len(allowed) for allowed in ALLOWED.values()) == 12


@pytest.fixture(scope="module")
async def postgres_url(servers: Servers, migrated: str) -> AsyncIterator[str]:
    async with scratch_database(servers.postgres_url, copy_of=migrated) as url:
        yield url


@pytest.fixture(scope="module")
async def local(base_settings: WorkerSettings, postgres_url: str) -> AsyncIterator[LocalWorker]:
    async with local_worker(postgres_url, FAMILIES, settings=base_settings) as worker:
        yield worker


@pytest.fixture(scope="module")
async def graph(local: LocalWorker) -> GraphModel:
    platform = AsyncPlatform(local.client)
    return await platform.create_graph(line_graph((await platform.create_user("owner", "owner@example.org")).id))


@pytest.fixture
async def execution(platform: AsyncPlatform, graph: GraphModel, events: list[Event]) -> GraphExecutionWithNodes:
    """A run of that graph; the events of what came before are forgotten."""
    created = await platform.create_graph_execution(
        graph.id, graph.version, {graph.nodes[0].id: {"value": "why?"}}, graph.user_id
    )
    events.clear()
    return created


@pytest.fixture
def run(execution):
    return execution.node_executions[0]


@pytest.fixture
def put(sql, execution, run):
    """Put the graph execution and its first node's into a status, as if they had come there long ago."""

    async def put(status: Status) -> None:
        ended = "2026-01-03" if status in ENDED else None
        await sql.execute(
            "update platform.graph_executions set status = $2, started_at = '2026-01-02', stats = '{\"cost\": 1}',"
            " ended_at = $3::text::timestamptz where id = $1",
            execution.id,
            status.value,
            ended,
        )
        await sql.execute(
            "update platform.node_executions set status = $2, queue_time = '2026-01-01', start_time = '2026-01-02',"
            " stats = '{\"n\": 1}', end_time = $3::text::timestamptz where id = $1",
            run.node_exec_id,
            status.value,
            ended,
        )

    return put


@LEGAL
async def test_a_graph_moves_where_the_table_lets_it(platform: AsyncPlatform, execution, put, present, wanted):
    await put(present)

    moved = await platform.update_graph_execution_stats(execution.id, wanted, {"more": 2})

    assert moved.status is wanted
    assert moved.started_at.isoformat() == "2026-01-02T00:00:00+00:00"
    assert (moved.ended_at is not None) == (wanted in ENDED)
    assert moved.ended_at is None or moved.ended_at > execution.created_at
    assert (moved.stats.cost, moved.stats.more) == (1, 2)
    assert await platform.get_graph_execution(execution.user_id, execution.id) == moved


@LEGAL
async def test_a_node_moves_where_the_table_lets_it(platform: AsyncPlatform, run, put, present, wanted):
    await put(present)

    moved = await platform.update_node_execution_status(run.node_exec_id, wanted, {"value": "new"}, {"m": 2})

    assert moved.status is wanted
    assert (moved.input_data, moved.stats) == ({"value": "new"}, {"n": 1, "m": 2})
    assert moved.start_time.isoformat() == "2026-01-02T00:00:00+00:00"
    assert (moved.queue_time > run.add_time) == (wanted is Status.QUEUED)
    assert (moved.end_time is not None) == (wanted in ENDED)
    assert moved.end_time is None or moved.end_time > run.add_time
    assert await platform.get_node_execution(run.node_exec_id) == moved


@REFUSED
async def test_a_refused_graph_is_answered_as_it_stands(
    platform: AsyncPlatform, execution, put, events, present, wanted
):
    await put(present)
    before = await platform.get_graph_execution(execution.user_id, execution.id)

    assert await platform.update_graph_execution_stats(execution.id, wanted, {"more": 2}) == before
    assert await platform.get_graph_execution(execution.user_id, execution.id) == before
    assert events == []


@REFUSED
async def test_a_refused_node_is_answered_as_it_stands(platform: AsyncPlatform, run, put, events, present, wanted):
    await put(present)
    before = await platform.get_node_execution(run.node_exec_id)

    assert await platform.update_node_execution_status(run.node_exec_id, wanted, {"value": 2}, {"m": 2}) == before
    assert await platform.update_node_execution_status_batch(
        [Update(node_exec_id=run.node_exec_id, status=wanted, execution_data={"value": 2}, stats={"m": 2})]
    ) == [before]
    assert await platform.get_node_execution(run.node_exec_id) == before
    assert events == []


@SAME
async def test_the_same_status_again_changes_nothing(platform: AsyncPlatform, execution, run, put, events, status):
    await put(status)
    graph, node = (
        await platform.get_graph_execution(execution.user_id, execution.id),
        await platform.get_node_execution(run.node_exec_id),
    )

    assert await platform.update_graph_execution_stats(execution.id, status) == graph
    assert await platform.update_node_execution_status(run.node_exec_id, status, {"value": 2}) == node
    assert await platform.update_node_execution_status_batch(
        [Update(node_exec_id=run.node_exec_id, status=status)]
    ) == [node]
    assert events == []


@SAME
async def test_stats_merge_though_the_status_stays(platform: AsyncPlatform, execution, run, put, events, status):
    await put(status)

    graph = await platform.update_graph_execution_stats(execution.id, status, {"more": 2})
    node = await platform.update_node_execution_status(run.node_exec_id, status, None, {"m": 2})
    (again,) = await platform.update_node_execution_status_batch(
        [Update(node_exec_id=run.node_exec_id, status=status, stats={"m": 3})]
    )

    assert (graph.status, graph.stats.cost, graph.stats.more) == (status, 1, 2)
    assert (node.status, node.stats) == (status, {"n": 1, "m": 2})
    assert again.stats == {"n": 1, "m": 3}
    assert [event.type.removeprefix("Graph").removeprefix("Node") for event in events] == ["ExecutionStatsUpdated"] * 3


async def test_a_first_run_stamps_queue_start_and_end(platform: AsyncPlatform, run):
    queued = await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED)
    running = await platform.update_node_execution_status(run.node_exec_id, Status.RUNNING)
    completed = await platform.update_node_execution_status(run.node_exec_id, Status.COMPLETED)

    assert (queued.start_time, running.end_time) == (None, None)
    assert run.add_time < completed.queue_time < completed.start_time < completed.end_time
    assert completed.queue_time == queued.queue_time
    assert completed.start_time == running.start_time


async def test_a_graphs_first_run_stamps_its_start(platform: AsyncPlatform, execution):
    running = await platform.update_graph_execution_stats(execution.id, Status.RUNNING)

    assert running.started_at > execution.created_at


@pytest.mark.parametrize("data", [None, {}])
async def test_a_move_without_data_keeps_the_inputs(platform: AsyncPlatform, run, data):
    moved = await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED, data)

    assert moved.input_data == run.input_data != {}


async def test_a_move_tells_where_from_and_where_to(platform: AsyncPlatform, execution, run, events):
    await platform.update_node_execution_status(run.node_exec_id, Status.QUEUED)

    (event,) = events
    assert (event.type, event.aggregate) == ("NodeExecutionStatusChanged", "node_execution")
    assert event.aggregate_id == run.node_exec_id
    assert event.data == {
        "user_id": execution.user_id,
        "graph_id": execution.graph_id,
        "graph_exec_id": execution.id,
        "node_id": run.node_id,
        "previous": "PENDING",
        "status": "QUEUED",
    }


@pytest.mark.parametrize("table", ["graph_executions", "node_executions"])
async def test_of_those_who_end_a_run_at_once_one_does_and_all_hear_how(
    platform: AsyncPlatform, execution, run, put, sql, events, table
):
    await put(Status.RUNNING)
    end, what = {
        "graph_executions": (platform.update_graph_execution_stats, execution.id),
        "node_executions": (platform.update_node_execution_status, run.node_exec_id),
    }[table]

    async with sql.transaction():
        await sql.execute(f"select from platform.{table} where id = $1 for update", what)
        ends = asyncio.gather(*(end(what, way) for way in [Status.COMPLETED, Status.FAILED] * 4))
        await waiting(sql, 8)
    ended = await ends

    assert len({answer.status for answer in ended}) == 1
    assert len(events) == 1


async def test_an_unknown_node_execution_cannot_move(platform: AsyncPlatform, execution, events):
    with pytest.raises(NotFoundError, match="there is no node execution"):
        await platform.update_node_execution_status(unknown(), Status.QUEUED)

    assert events == []


async def test_a_status_that_is_none_is_refused(platform: AsyncPlatform, run):
    with pytest.raises(InvalidRequest, match="status"):
        await platform.update_node_execution_status(run.node_exec_id, "TERMINATED")
