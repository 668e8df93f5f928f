"""The channel on which agent platforms watch their runs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rpc_client.contract.platform import AsyncPlatform, GraphExecution, NodeExecutionResult, NodeExecutionUpdate
from tests.services.platform.given import Status
from worker.services.platform.live import channels, message


@pytest.fixture
def heard(local, execution):
    """What that channel said of this execution since it was made."""
    local.messages.clear()

    def heard() -> list[dict]:
        channel = f"execution_event/{execution.user_id}/{execution.graph_id}/{execution.id}"
        return [message["payload"] for name, message in local.messages if name == channel]

    return heard


async def test_a_new_execution_is_told_without_its_nodes(platform: AsyncPlatform, owner, graph, local):
    local.messages.clear()

    created = await platform.create_graph_execution(graph.id, graph.version, {}, owner)

    ((channel, message),) = [told for told in local.messages if told[0].startswith("execution_event/")]
    assert channel == f"execution_event/{owner}/{graph.id}/{created.id}"
    payload = message["payload"]
    assert payload.pop("event_type") == "graph_execution_update"
    assert "node_executions" not in payload
    assert GraphExecution(**payload) == await platform.get_graph_execution(owner, created.id)


async def test_a_graphs_change_is_told_as_the_caller_was_answered(platform: AsyncPlatform, execution, heard):
    answered = await platform.update_graph_execution_stats(execution.id, Status.RUNNING, {"cost": 1})

    (payload,) = heard()
    assert payload["event_type"] == "graph_execution_update"
    assert GraphExecution(**payload) == answered


async def test_a_nodes_change_is_told_as_the_caller_was_answered(platform: AsyncPlatform, execution, heard):
    run = execution.node_executions[0].node_exec_id

    answered = await platform.update_node_execution_status(run, Status.RUNNING)

    (payload,) = heard()
    assert payload["event_type"] == "node_execution_update"
    assert NodeExecutionResult(**payload) == answered


async def test_of_a_batch_only_what_changed_is_told(platform: AsyncPlatform, execution, heard):
    first, second, third, _ = (n.node_exec_id for n in execution.node_executions)
    wanted = [(first, Status.QUEUED), (second, Status.COMPLETED), (third, Status.RUNNING)]

    await platform.update_node_execution_status_batch(
        [NodeExecutionUpdate(node_exec_id=run, status=status) for run, status in wanted]
    )

    assert [(payload["node_exec_id"], payload["status"]) for payload in heard()] == [
        (first, "QUEUED"),
        (third, "RUNNING"),
    ]


async def test_a_refused_change_is_not_told(platform: AsyncPlatform, execution, heard):
    await platform.update_graph_execution_stats(execution.id, Status.COMPLETED)

    assert heard() == []


EVENT = {"aggregate": "node_execution", "aggregate_id": "x"}
RECORD = {"node_exec_id": "x", "user_id": "ü/1", "graph_id": "g", "graph_exec_id": "e"}


def test_a_payload_is_the_record_and_the_word_its_watchers_know():
    ((channel, payload),) = channels(EVENT, RECORD)

    assert channel == "execution_event/ü/1/g/e"
    assert json.loads(payload) == {"payload": {**RECORD, "event_type": "node_execution_update"}}


@pytest.mark.parametrize(
    "result",
    [
        None,
        5,
        "x",
        [],
        {},
        [None, ["x"], {}],
        ["x", {"node_exec_id": "x"}],
        {**RECORD, "user_id": None},
        {**RECORD, "node_exec_id": "y"},
    ],
)
def test_a_result_that_does_not_hold_the_execution_is_not_told(result):
    assert list(channels(EVENT, result)) == []


@pytest.mark.parametrize("event", [{}, {"aggregate": "graph", "aggregate_id": "x"}, {"aggregate": None}])
def test_events_of_other_things_are_not_told(event):
    assert list(channels(event, RECORD)) == []


def sides(text: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(text)["payload"].items() if name in {"inputs", "outputs"}}


def test_a_message_within_the_limit_is_told_as_it_is():
    payload = {"id": "x", "inputs": {"a": "b" * 100}, "outputs": {}}
    size = len(message(payload))

    assert json.loads(message(payload, size)) == {"payload": payload}


@pytest.mark.parametrize(
    ("inputs", "outputs", "kept"),
    [
        ({"a": "<" + "x" * 30_000 + ">"}, {}, {"a": "< … >"}),
        ({"a": "<" + 'ü"' * 30_000 + ">", "b": 1}, {"out": ["small"]}, {"a": "< … >", "b": 1}),
        ({"a": [*range(50_000)]}, {"out": ["<" + "x" * 50_000 + ">"]}, {"a": [0, " … 49900 left out … ", 49999]}),
        ({"a": {"deep": ["<" + "x" * 20_000 + ">", True, None]}}, {}, {"a": {"deep": ["< … >", True, None]}}),
    ],
)
def test_over_the_limit_what_is_long_loses_its_middle_and_says_so(inputs, outputs, kept):
    told = message({"id": "x", "inputs": inputs, "outputs": outputs}, 20_000)

    def ends(value: Any) -> Any:
        """The same, of long texts and lists only the ends and the mark between them."""
        if isinstance(value, dict):
            return {name: ends(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [value[0], value[50], value[-1]] if len(value) > 100 else [*map(ends, value)]
        return re.sub("(?s)^<.* … [0-9]+ left out … .*>$", "< … >", value) if isinstance(value, str) else value

    assert len(told) <= 20_000
    assert ends(sides(told)["inputs"]) == kept
    assert sides(told)["outputs"].keys() == outputs.keys()


@pytest.mark.parametrize(
    "payload", [{"id": "x" * 3000, "inputs": {}, "outputs": {}}, {"inputs": {f"pin {n}": 1 for n in range(500)}}]
)
def test_what_cannot_be_shortened_is_told_as_an_error(payload):
    size = len(message(payload))

    assert json.loads(message(payload, 2000)) == {
        "payload": {
            "event_type": "error_comms_update",
            "error": "an update of this run is too large to be told",
            "original_size_bytes": size,
            "max_size_bytes": 2000,
        }
    }


def test_no_message_is_larger_than_16_mib():
    told = message({"id": "x", "inputs": {"a": "x" * (9 << 20)}, "outputs": {"b": ["y" * (9 << 20)]}})

    assert 8 << 20 < len(told) <= 16 << 20
