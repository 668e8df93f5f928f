"""What travels: the bytes of calls and replies, and the names of exchanges, queues and channels. Used by both sides.

A call is one line of JSON, ``{"id", "method", "args", "deadline", "attempt"}``; a message is 1..64 such lines of one
method. A reply is one line, ``{"id", "result"}`` or ``{"id", "error", "message", "details"}``, with ``"attempt"`` and
``"deadline"`` as they were sent where the error is said of this attempt only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, TypeGuard
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from pydantic_core import from_json, to_json

from rpc_client.arguments import SHOWN, doubled, judged, seems_doubled, too_deep
from rpc_client.errors import BUILT_IN, InvalidRequest, Reason, RemoteError, UnknownRemoteError

VERSION = 1
MAX_CALLS = 64
MAX_PARCEL_BYTES = 256 << 10
"""Calls are put together up to this size; a single one may be larger."""
LINE_OVERHEAD = 200
"""What a line takes besides its arguments, at most."""
MAX_DEPTH = 64
UUID_PATTERN = "[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
KEY_NAMESPACE = uuid5(NAMESPACE_URL, "rowcall:key")
REQUEST_NAMESPACE = uuid5(NAMESPACE_URL, "rowcall:request")

_LEADING_ID = re.compile(rb'\s*\{\s*"id"\s*:\s*"([0-9a-fA-F-]{36})"')
_REPLY_TO = re.compile(r"(amq\.gen-|amq\.rabbitmq\.reply-to\.).{1,220}")


@dataclass(frozen=True, slots=True)
class Names:
    """Every name that carries the prefix."""

    prefix: str

    @property
    def requests(self) -> str:
        """The topic exchange calls are published to, with ``lane.family.method`` as routing key."""
        return f"{self.prefix}.requests"

    def queue(self, lane: str) -> str:
        """The queue from which workers take the calls of this lane."""
        return f"{self.prefix}.{lane}"

    @property
    def dead(self) -> str:
        """The exchange of dead letters."""
        return f"{self.prefix}.dead"

    @property
    def dead_letters(self) -> str:
        """The queue of dead letters."""
        return f"{self.prefix}.dead-letters"

    def replies(self, connection_id: UUID) -> str:
        """The reply queue of one connection of a client."""
        return f"{self.prefix}.replies.{connection_id}"

    def accepts_replies(self, reply_to: str) -> bool:
        """Whether a worker may reply there: to a reply queue, never to anything else that happens to be a queue."""
        own = f"{self.prefix}.replies."
        if reply_to.startswith(own):
            return _is_uuid(reply_to[len(own) :])
        return _REPLY_TO.fullmatch(reply_to) is not None

    @property
    def events(self) -> str:
        """The Redis stream that is the record of all committed events."""
        return f"{self.prefix}:events"

    @property
    def about_events(self) -> str:
        """The Redis hash beside it: its generation, the newest entry that was trimmed, where its history ends."""
        return f"{self.prefix}:events:about"

    def channel(self, family: str, aggregate: str, aggregate_id: str) -> str:
        """The Redis channel on which the events of one aggregate are announced."""
        return f"{self.prefix}/{family}/{aggregate}/{aggregate_id}"


@dataclass(slots=True)
class Line:
    """One call as it was sent. ``arguments`` is the same JSON object with its keys sorted."""

    id: str | None
    method: str
    arguments: bytes
    deadline_ms: int | None
    attempt: int
    doubled: str | None = None
    """A key that stands twice in one of its objects. The last one counts; a write had better say what it means."""


def encode_call(request_id: str, method: str, arguments: bytes, deadline_ms: int, attempt: int) -> bytes:
    """One call as one line, without the newline."""
    return b'{"id":"%b","method":"%b","args":%b,"deadline":%d,"attempt":%d}' % (
        request_id.encode(),
        method.encode(),
        arguments,
        deadline_ms,
        attempt,
    )


def split_lines(body: bytes, max_calls: int = MAX_CALLS) -> list[bytes]:
    """The calls of a message; blank lines do not count. InvalidRequest where there are none, or too many."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not lines:
        raise InvalidRequest(
            'the body is empty; send one JSON object {"method", "args"} a line', _why(Reason.MALFORMED)
        )
    if len(lines) > max_calls:
        raise InvalidRequest(
            f"{len(lines)} calls in one message; send at most {max_calls} (ROWCALL_MESSAGE_CALLS)",
            {"reason": Reason.TOO_MANY_CALLS, "limit": max_calls},
        )
    return lines


def leading_id(line: bytes) -> str | None:
    """The id with which our client begins a line: whom to tell, also where the rest cannot be read."""
    found = _LEADING_ID.match(line)
    return None if found is None else found[1].decode()


def only_id(body: bytes) -> str | None:
    """The id of the call, in a message of one."""
    return None if b"\n" in body.strip() else leading_id(body)


def decode_line(line: bytes, max_depth: int = MAX_DEPTH) -> Line:
    """Read one call. InvalidRequest (with the id, where it could be read) when it is not one."""
    fields: dict[str, Any] = {}
    try:
        fields = _object(line, max_depth)
        _check_version(fields)
        arguments = _arguments(line, fields, max_depth)
        return Line(
            id=_id(fields),
            method=_method(fields),
            arguments=arguments,
            deadline_ms=_positive(fields, "deadline", Reason.DEADLINE),
            attempt=_positive(fields, "attempt", Reason.MALFORMED) or 1,
            doubled=doubled(line) if seems_doubled(line, fields, arguments) else None,
        )
    except InvalidRequest as error:
        known = fields.get("id")
        error.request_id = known if isinstance(known, str) else leading_id(line)
        raise


def _object(line: bytes, max_depth: int) -> dict[str, Any]:
    try:
        fields = from_json(line)
    except ValueError as error:
        if "recursion" in str(error):
            raise too_deep(max_depth) from error
        raise InvalidRequest(f"not a line of JSON in UTF-8: {error}", _why(Reason.MALFORMED)) from error
    if not isinstance(fields, dict):
        raise InvalidRequest(
            f'expected a JSON object {{"method", "args"}}, got {_kind(fields)}', _why(Reason.MALFORMED)
        )
    return fields


def _check_version(fields: dict[str, Any]) -> None:
    version: Any = fields.get("v", VERSION)
    if type(version) is not int or version != VERSION:
        raise InvalidRequest(
            f"wire version {str(version)[:SHOWN]!r} is not served; this worker speaks {VERSION}",
            {"reason": Reason.VERSION, "supported": [VERSION]},
        )


def _id(fields: dict[str, Any]) -> str | None:
    request_id = fields.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise InvalidRequest("'id' must be a UUID in a string", _why(Reason.REQUEST_ID))
    return request_id


def _method(fields: dict[str, Any]) -> str:
    method = fields.get("method")
    if not isinstance(method, str) or not method:
        raise InvalidRequest("'method' must name a method, as in \"platform.get_credits\"", _why(Reason.MALFORMED))
    return method


def _positive(fields: dict[str, Any], key: str, reason: str) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if not is_natural(value):
        raise InvalidRequest(f"{key!r} must be a positive integer", _why(reason))
    return value


def is_natural(value: object) -> TypeGuard[int]:
    """Whether this is a whole number above 0 that every JSON reader keeps exactly."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53


def _arguments(line: bytes, fields: dict[str, Any], max_depth: int) -> bytes:
    arguments = fields.get("args", {})
    if not isinstance(arguments, dict):
        raise InvalidRequest(
            f"'args' must be an object of arguments by name, got {_kind(arguments)}",
            {"reason": Reason.INVALID_ARGUMENT, "argument": None},
        )
    return judged(arguments, line, max_depth)


def _kind(value: object) -> str:
    kinds: dict[type, str] = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", NoneType: "null"}
    return kinds.get(type(value), "a number")


def _why(reason: str) -> dict[str, Any]:
    return {"reason": reason}


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def encode_result(result: str) -> str:
    """The outcome of a call that returned this JSON text. An outcome is the reply line after its id."""
    return f'"result":{result}}}'


def encode_error(error: RemoteError, of: tuple[int, int] | None = None) -> str:
    """The outcome of a call that was answered with this error. What is said of one attempt says `of` which.

    That is its number, and its deadline as it was sent: a caller may have given up the call and repeat it.
    """
    fields: dict[str, Any] = {"error": error.code, "message": error.message, "details": error.details}
    if of is not None:
        fields["attempt"], fields["deadline"] = of
    return to_json(fields, inf_nan_mode="strings", serialize_unknown=True).decode()[1:]


def encode_reply(request_id: str | None, outcome: str) -> bytes:
    """The reply line: the id as it was sent, then the outcome, byte for byte the same at every repeat."""
    shown = b"null" if request_id is None else orjson.dumps(request_id)
    return b'{"id":%b,%b' % (shown, outcome.encode())


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply line: the JSON of the result, or the error's fields."""

    id: str | None
    result: bytes | None
    error: dict[str, Any] | None


def read_reply(line: bytes) -> Reply:
    """One reply line. A result as our workers write it is found by its place, and read only once, into its type."""
    if line.startswith(b'{"id":"') and line[43:54] == b'","result":' and line.endswith(b"}"):
        return Reply(line[7:43].decode(), line[54:-1], None)
    fields = decode_reply(line)
    if "error" in fields:
        return Reply(fields.get("id"), None, fields)
    return Reply(fields.get("id"), orjson.dumps(fields["result"]), None)


def decode_reply(line: bytes) -> dict[str, Any]:
    """One reply line as a dict. ValueError when it is not one."""
    reply = orjson.loads(line)
    if not isinstance(reply, dict) or not ("result" in reply or "error" in reply):
        raise ValueError("a reply is a JSON object with 'id' and either 'result' or 'error'")
    return reply


def decode_error(
    reply: Mapping[str, Any], known: Mapping[str, type[RemoteError]], *, request_id: str | None, method: str
) -> RemoteError:
    """The error a reply names, as its class; one this client does not know becomes UnknownRemoteError."""
    code, message, details = reply["error"], reply.get("message", ""), reply.get("details")
    cls = known.get(code) or BUILT_IN.get(code)
    if cls is None:
        return UnknownRemoteError(message, details, code=code, request_id=request_id, method=method)
    return cls(message, details, request_id=request_id, method=method)
