"""What the demo and its executors tell each other: one JSON object a line, orders in, reports out."""

from __future__ import annotations

from typing import Any

from rpc_client.contract import Record

READY = "ready"
"""What an executor says when it waits for its order."""
DEADLINE_S = 30.0
"""For every call. What a killed worker held is with another one long before that, so no call ever notices."""


class Run(Record):
    """One execution to do."""

    user_id: str
    starting_inputs: dict[str, dict[str, Any]]


class Order(Record):
    """Everything one executor is to do."""

    graph_id: str
    graph_version: int
    at_once: int
    """How many executions it runs at the same time."""
    runs: list[Run]


class Report(Record):
    """One finished execution: how long each of its calls took, in milliseconds, and which of them failed."""

    reads: list[float]
    writes: list[float]
    failed: list[str]
