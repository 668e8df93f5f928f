"""Many moves of nodes' runs at once: all of them, or none."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from rpc_client.contract.platform import AsyncPlatform, NodeExecutionUpdate
from rpc_client.errors import InvalidRequest, NotFoundError
from tests.services.platform.given import Status, unknown

Update = NodeExecutionUpdate


async def test_a_batch_moves_each_as_it_says_and_answers_in_its_order(platform: AsyncPlatform, execution, events):
    first, second, third, fourth = execution.node_executions
    updates = [
        Update(node_exec_id=fourth.node_exec_id, status=Status.QUEUED, execution_data={"value": 4}),
        Update(node_exec_id=second.node_exec_id, status=Status.COMPLETED),
        Update(node_exec_id=first.node_exec_id, status=Status.RUNNING, stats={"m": 1}),
        Update(node_exec_id=third.node_exec_id, status=Status.PENDING, stats={"m": 2}),
    ]

    moved = await platform.update_node_execution_status_batch(updates)

    assert [n.node_exec_id for n in moved] == [update.node_exec_id for update in updates]
    assert [n.status for n in moved] == [Status.QUEUED, Status.PENDING, Status.RUNNING, Status.PENDING]
    assert moved[0].input_data == {"value": 4}
    assert [n.stats for n in moved] == [None, None, {"m": 1}, {"m": 2}]
    assert moved == [await platform.get_node_execution(n.node_exec_id) for n in moved]
    assert [(event.type, event.aggregate_id) for event in events] == [
        ("NodeExecutionStatusChanged", fourth.node_exec_id),
        ("NodeExecutionStatusChanged", first.node_exec_id),
        ("NodeExecutionStatsUpdated", third.node_exec_id),
    ]


async def test_a_batch_with_an_unknown_id_moves_none(platform: AsyncPlatform, execution, events):
    lost = [unknown(), unknown()]
    known = [n.node_exec_id for n in execution.node_executions[:2]]
    ids = [known[0], lost[0], known[1], lost[1]]

    with pytest.raises(NotFoundError, match="nothing changed") as refused:
        await platform.update_node_execution_status_batch([Update(node_exec_id=i, status=Status.QUEUED) for i in ids])

    assert refused.value.details == {"node_exec_ids": lost}
    assert await platform.get_node_executions(execution.id) == execution.node_executions
    assert events == []


async def test_batches_that_meet_in_every_order_move_each_execution_once(platform: AsyncPlatform, execution, events):
    ids = [n.node_exec_id for n in execution.node_executions]
    orders = itertools.permutations([Update(node_exec_id=i, status=Status.RUNNING) for i in ids])

    answers = await asyncio.gather(*map(platform.update_node_execution_status_batch, orders))

    assert {n.status for answer in answers for n in answer} == {Status.RUNNING}
    assert sorted(event.aggregate_id for event in events) == sorted(ids)


async def test_an_empty_batch_is_no_work(platform: AsyncPlatform, execution, events):
    assert await platform.update_node_execution_status_batch([]) == []
    assert events == []


async def test_a_batch_names_each_execution_once(platform: AsyncPlatform):
    twice = [Update(node_exec_id=unknown(), status=Status.QUEUED)] * 2

    with pytest.raises(InvalidRequest, match="stands in it twice"):
        await platform.update_node_execution_status_batch(twice)


async def test_a_batch_has_at_most_200_updates(platform: AsyncPlatform):
    updates = [Update(node_exec_id=str(n), status=Status.QUEUED) for n in range(201)]

    with pytest.raises(InvalidRequest, match="execution_updates"):
        await platform.update_node_execution_status_batch(updates)
