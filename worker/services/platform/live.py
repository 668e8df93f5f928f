"""The channel on which agent platforms have always watched their runs, beside Rowcall's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

KINDS = {
    "graph_execution": ("id", "graph_execution_update"),
    "node_execution": ("node_exec_id", "node_execution_update"),
}
"""Aggregate -> where a result holds its id, and the word its watchers know it by."""


def channels(event: Mapping[str, Any], result: Any) -> Iterable[tuple[str, bytes]]:
    """``execution_event/{user_id}/{graph_id}/{graph_exec_id}`` and the execution as the call answered it.

    Nothing where the answer does not hold the execution that the event is about.
    """
    id_field, word = KINDS.get(str(event.get("aggregate")), ("", ""))
    for record in result if isinstance(result, list) else [result]:
        if not isinstance(record, dict) or not id_field or record.get(id_field) != event.get("aggregate_id"):
            continue
        place = [record.get("user_id"), record.get("graph_id"), record.get("graph_exec_id", record.get("id"))]
        names = [part for part in place if isinstance(part, str)]
        if len(names) == len(place):
            fields = {name: value for name, value in record.items() if name != "node_executions"}
            yield "/".join(["execution_event", *names]), orjson.dumps({"payload": {**fields, "event_type": word}})
