"""What its AMQP headers say of a message that is replayed: its deadline, its id, and whose call it is."""

from __future__ import annotations

from dataclasses import replace

from rpc_client.errors import AuthorizationError, InvalidRequest, Reason
from rpc_client.properties import decode_headers
from rpc_client.wire import is_natural
from worker.calls import UUID_SHAPE, Origin, Replay

PREFIX = b"x-rowcall-"
"""Begins every header that means anything here; a message without it is none that is replayed."""
DEADLINE, ID, CALLER = "x-rowcall-deadline", "x-rowcall-id", "x-rowcall-caller"


def as_replayed(origin: Origin, table: bytes, operators: frozenset[str]) -> Origin:
    """Where a message came from, as its headers have it.

    InvalidRequest when they are nonsense; AuthorizationError when its sender may not call in another's name.
    """
    try:
        headers = decode_headers(table)
    except ValueError as error:
        raise bad_headers("the table of AMQP headers cannot be read") from error
    if not headers.keys() & {DEADLINE, ID, CALLER}:
        return origin
    caller = _text(headers, CALLER)
    caller = origin.caller if caller is None else caller
    if caller != origin.caller and origin.caller not in operators:
        raise AuthorizationError(
            f"{origin.caller!r} may not replay the calls of others: it is not among ROWCALL_OPERATORS",
            {"reason": Reason.OPERATOR},
        )
    return replace(origin, caller=caller, replay=Replay(_deadline(headers), _id(headers)))


def bad_headers(message: str) -> InvalidRequest:
    """That headers of ours cannot mean anything."""
    return InvalidRequest(message, {"reason": Reason.HEADERS})


def _text(headers: dict[str, object], name: str) -> str | None:
    value = headers.get(name)
    if value is None or isinstance(value, str):
        return value
    raise bad_headers(f"{name} must be text")


def _deadline(headers: dict[str, object]) -> int | None:
    value = headers.get(DEADLINE)
    if value is None or is_natural(value):
        return value
    raise bad_headers(f"{DEADLINE} must be a positive integer: milliseconds since 1970")


def _id(headers: dict[str, object]) -> str | None:
    value = _text(headers, ID)
    if value is not None and not UUID_SHAPE.fullmatch(value):
        raise bad_headers(f"{ID} must be a UUID")
    return None if value is None else value.lower()
