"""get_block_error_stats."""

from __future__ import annotations

import pytest

from rpc_client.contract.platform import AsyncPlatform, BlockErrorStats
from tests.services.platform.given import Status


@pytest.fixture
def fail(platform: AsyncPlatform):
    """Let a node's run fail with this error."""

    async def fail(run: str, **stats: object) -> None:
        await platform.update_node_execution_status(run, Status.FAILED, None, stats)

    return fail


def stats(block: str, kind: str, failed: int, total: int) -> BlockErrorStats:
    return BlockErrorStats(block_id=block, error_type=kind, failed_executions=failed, total_executions=total)


async def test_without_failures_there_is_nothing_to_tell(platform: AsyncPlatform, execution):
    await platform.update_node_execution_status(execution.node_executions[0].node_exec_id, Status.RUNNING)

    assert await platform.get_block_error_stats() == []


async def test_failures_are_counted_by_block_and_type_of_everybodys_runs(
    platform: AsyncPlatform, owner, stranger, graph, fail
):
    await platform.list_graph(graph.id, graph.version)
    runs = [
        [node.node_exec_id for node in (await platform.create_graph_execution(graph.id, 1, {}, user)).node_executions]
        for user in (owner, owner, stranger)
    ]
    # Two nodes of each run are of the block STANDARD, the first is its INPUT.
    await fail(runs[0][1], error="TimeoutError: after 5 s")
    await fail(runs[0][2], error="ValueError: 5 is no word")
    await fail(runs[2][1], error="TimeoutError: after 7 s")
    await fail(runs[1][0], error="KeyError: 'name'")
    await platform.update_node_execution_status(runs[1][1], Status.QUEUED)
    await platform.update_node_execution_status(runs[1][2], Status.CANCELED)

    found = await platform.get_block_error_stats()

    assert found == [
        stats("block-INPUT", "KeyError", 1, 1),
        stats("block-STANDARD", "TimeoutError", 2, 5),
        stats("block-STANDARD", "ValueError", 1, 5),
    ]
    assert [one.error_rate for one in found] == [100, 40, 20]


async def test_what_is_pending_has_not_run(platform: AsyncPlatform, execution, fail):
    await fail(execution.node_executions[1].node_exec_id, error="x")

    assert await platform.get_block_error_stats() == [stats("block-STANDARD", "x", 1, 1)]


async def test_an_error_of_a_run_that_did_not_fail_is_no_failure(platform: AsyncPlatform, execution):
    run = execution.node_executions[1].node_exec_id
    await platform.update_node_execution_status(run, Status.RUNNING)

    await platform.update_node_execution_status(run, Status.COMPLETED, None, {"error": "Warning: slow"})

    assert await platform.get_block_error_stats() == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"error": "ValueError: no: none"}, "ValueError"),
        ({"error": "rate limit reached"}, "rate"),
        ({"error": "two\nlines"}, "two"),
        ({"error": "http.Error"}, "http.Error"),
        ({"error": ": nothing"}, ""),
        ({"error": " nothing"}, ""),
        ({"error": ""}, ""),
        ({"error": None}, ""),
        ({"error": 404}, "404"),
        ({"error": "x" * 5000}, "x" * 200),
        ({}, ""),
    ],
)
async def test_the_type_of_an_error_is_what_it_begins_with(platform: AsyncPlatform, execution, fail, error, kind):
    await fail(execution.node_executions[0].node_exec_id, **error)

    assert await platform.get_block_error_stats() == [stats("block-INPUT", kind, 1, 1)]


async def test_only_the_last_seven_days_count(platform: AsyncPlatform, execution, fail, sql):
    first, second, third, _ = (node.node_exec_id for node in execution.node_executions)
    for run in (first, second, third):
        await fail(run, error="x")
    for run, age in ((first, "7 days 1 minute"), (second, "6 days 23 hours"), (third, "8 days")):
        await sql.execute(
            "update platform.node_executions set add_time = add_time - $2::text::interval where id = $1", run, age
        )

    assert await platform.get_block_error_stats() == [stats("block-STANDARD", "x", 1, 1)]


def test_a_block_that_never_ran_has_an_error_rate_of_0():
    assert stats("block", "x", 0, 0).error_rate == 0
