"""The channel on which agent platforms have always watched their runs, beside Rowcall's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

KINDS = {
    "graph_execution": ("id", "graph_execution_update"),
    "node_execution": ("node_exec_id", "node_execution_update"),
}
"""Aggregate -> where a result holds its id, and the word its watchers know it by."""
SIDES = ("inputs", "outputs", "input_data", "output_data")
"""What went in and what came out, of a graph and of a node."""
MAX_BYTES = 16 << 20
"""Watchers count on no larger message. What a write answers, and so all that is told here, is far smaller today (256
KiB, docs/decisions/0004); the rule for larger ones is kept for the day that bound moves.
"""
MAX_ITEMS = 100
"""Of a list that must be shortened."""


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
            yield "/".join(["execution_event", *names]), message({**fields, "event_type": word})


def message(payload: Mapping[str, Any], limit: int = MAX_BYTES) -> bytes:
    """The payload as it is told: over the limit its sides share the room that the rest leaves; else it is an error."""
    told = orjson.dumps({"payload": payload})
    if (size := len(told)) > limit:
        sides = {side: payload[side] for side in SIDES if side in payload}
        rest = orjson.dumps({"payload": {**payload, **{side: {} for side in sides}}})
        shorter = {side: shortened(value, (limit - len(rest)) // 2) for side, value in sides.items()}
        told = orjson.dumps({"payload": {**payload, **shorter}})
    if len(told) > limit:
        error = {"event_type": "error_comms_update", "error": "an update of this run is too large to be told"}
        told = orjson.dumps({"payload": {**error, "original_size_bytes": size, "max_size_bytes": limit}})
    return told


def shortened(value: Any, room: int) -> Any:
    """The value in about so many bytes of JSON: what is long loses its middle, and says how much was left out."""
    if len(orjson.dumps(value)) <= room:
        return value
    if isinstance(value, dict):
        return {name: shortened(inner, room // len(value)) for name, inner in value.items()}
    if isinstance(value, list):
        kept = value if len(value) <= MAX_ITEMS else list(_ends(value, MAX_ITEMS // 2))
        return [shortened(item, room // len(kept)) for item in kept]
    return _shortened_text(value, room) if isinstance(value, str) else value


def _shortened_text(text: str, room: int) -> str:
    head = len(text)
    while head := head // 2:
        shorter = "".join(_ends(text, head))
        if len(orjson.dumps(shorter)) <= room:
            return shorter
    return ""


def _ends(whole: Sequence[Any], length: int) -> Iterator[Any]:
    """So many of the first and of the last, and between them how many others there were."""
    yield from whole[:length]
    yield f" … {len(whole) - 2 * length} left out … "
    yield from whole[-length:]
