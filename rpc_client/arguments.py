"""Arguments as JSON: what the sender's may hold, and what is said of those that hold something else."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from pydantic_core import to_json

from rpc_client.errors import InvalidRequest, Reason

MAX_ARGUMENTS = 100
"""More names than any method has parameters: no need to tell what is wrong with each."""
SHOWN = 128
"""So much of what somebody sent is shown in an answer, at most."""
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def encode_arguments(arguments: Mapping[str, Any], method: str | None = None) -> bytes:
    """Arguments as JSON; InvalidRequest names what JSON cannot say. A NaN travels: the worker refuses it by name."""
    try:
        return to_json(arguments, inf_nan_mode="constants")
    except ValueError as error:
        name = _first(arguments, lambda value: _fails(to_json, value, ValueError))
        unfit = _unfit(name, f"cannot be written as JSON: {error}")
        raise InvalidRequest(unfit.message, unfit.details, method=method) from error


def judged(arguments: dict[str, Any], line: bytes, max_depth: int) -> bytes:
    """The arguments of this line with their keys sorted. InvalidRequest names what no method can take."""
    if len(arguments) > MAX_ARGUMENTS:
        message = f"{len(arguments)} arguments; no method takes so many"
        raise InvalidRequest(message, {"reason": Reason.UNKNOWN_ARGUMENT, "argument": None})
    if line.count(b"{") + line.count(b"[") > max_depth and _is_deeper(arguments, max_depth):
        raise too_deep(max_depth)
    try:
        encoded = sorted_json(arguments)
    except TypeError as error:
        name = _first(arguments, lambda value: _fails(orjson.dumps, value, TypeError))
        raise _unfit(name, f"a number in it is out of range: {error}") from error
    # A number that no float64 can hold was read as an infinity, and that is written as null.
    if b"null" in encoded and (name := _first(arguments, lambda value: not is_finite(value))) is not None:
        raise _unfit(name, "a number in it is not finite, or beyond what a float64 can hold")
    if b"\\u0000" in encoded and _ESCAPED_NUL.search(encoded):
        name = _first(arguments, lambda value: _ESCAPED_NUL.search(orjson.dumps(value)) is not None)
        raise _unfit(name, "text in it holds U+0000, which the database cannot store")
    return encoded


def sorted_json(arguments: object) -> bytes:
    """Arguments in the one form in which equal ones are equal bytes. TypeError for an integer beyond 64 bits."""
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)


def too_deep(limit: int) -> InvalidRequest:
    """Arguments are nested deeper than this."""
    message = f"arguments are nested deeper than {limit} (ROWCALL_MAX_DEPTH)"
    return InvalidRequest(message, {"reason": Reason.TOO_DEEP, "limit": limit})


def is_finite(value: object) -> bool:
    """Whether no number in this JSON value is a NaN or an infinity."""
    return not any(
        type(number) is float and not math.isfinite(number) for level in _levels([value]) for number in level
    )


def seems_doubled(line: bytes, fields: Mapping[str, Any], arguments: bytes) -> bool:
    """Whether a key may stand twice in an object of this line: colons were lost in reading it, or hidden (0.3 µs)."""
    return line.count(b":") != len(fields) + arguments.count(b":") or b"\\u003" in line


def doubled(line: bytes) -> str | None:
    """The first key found to stand twice in one object."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen = set[str]()
        for name, _ in pairs:
            if name in seen:
                found.append(name)
                return
            seen.add(name)

    json.loads(line, object_pairs_hook=look)
    return found[0] if found else None


def _first(arguments: Mapping[str, Any], is_bad: Callable[[Any], bool]) -> str | None:
    """The name of the first argument that is to blame; None where it is a name itself."""
    return next((name for name, value in arguments.items() if is_bad(value)), None)


def _fails(write: Callable[[Any], bytes], value: object, how: type[Exception]) -> bool:
    try:
        write(value)
    except how:
        return True
    return False


def _unfit(name: str | None, why: str) -> InvalidRequest:
    shown = None if name is None else name[:SHOWN]
    blamed = "the name of an argument" if shown is None else f"argument {shown!r}"
    return InvalidRequest(f"{blamed}: {why}", {"reason": Reason.INVALID_ARGUMENT, "argument": shown})


def _is_deeper(value: object, limit: int) -> bool:
    """Whether containers nest deeper than this. The parser has already bounded it at about 200."""
    containers = [value]
    for _ in range(limit):
        containers = [
            child
            for inner in map(_children, containers)
            for child in inner
            if type(child) is dict or type(child) is list
        ]
    return bool(containers)


def _levels(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """What is in these values, level by level: a megabyte of brackets would be too many calls for a recursion."""
    while values:
        yield values
        values = [child for inner in map(_children, filter(_is_container, values)) for child in inner]


def _is_container(value: object) -> bool:
    return type(value) in {dict, list, tuple}


def _children(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value
