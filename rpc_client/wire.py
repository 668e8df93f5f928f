"""What travels: the bytes of calls and replies, and the names of exchanges, queues and channels. Used by both sides.

A call is one line of JSON, ``{"id", "method", "args", "deadline", "attempt"}``; a message is 1..64 such lines of one
method. A reply is one line, ``{"id", "result"}`` or ``{"id", "error", "message", "details"}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from pydantic_core import from_json, to_json

from rpc_client.errors import BUILT_IN, InvalidRequest, Reason, RemoteError, UnknownRemoteError

VERSION = 1
MAX_CALLS = 64
MAX_PARCEL_BYTES = 256 << 10
"""Calls are put together up to this size; a single one may be larger."""
LINE_OVERHEAD = 200
"""What a line takes besides its arguments, at most."""
MAX_DEPTH = 64
KEY_NAMESPACE = uuid5(NAMESPACE_URL, "rowcall:key")
REQUEST_NAMESPACE = uuid5(NAMESPACE_URL, "rowcall:request")

_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
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


def encode_arguments(arguments: Mapping[str, Any]) -> bytes:
    """Arguments as JSON. A NaN is written as such, so that the worker can refuse it by name."""
    return to_json(arguments, inf_nan_mode="constants")


def encode_call(request_id: str, method: str, arguments: bytes, deadline_ms: int, attempt: int) -> bytes:
    """One call as one line, without the newline."""
    return b'{"id":"%b","method":"%b","args":%b,"deadline":%d,"attempt":%d}' % (
        request_id.encode(),
        method.encode(),
        arguments,
        deadline_ms,
        attempt,
    )


def split_lines(body: bytes) -> list[bytes]:
    """The calls of a message; blank lines do not count. InvalidRequest where there are none, or too many."""
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not lines:
        raise InvalidRequest(
            'the body is empty; send one JSON object {"method", "args"} a line', _why(Reason.MALFORMED)
        )
    if len(lines) > MAX_CALLS:
        raise InvalidRequest(
            f"{len(lines)} calls in one message; send at most {MAX_CALLS}",
            {"reason": Reason.TOO_MANY_CALLS, "limit": MAX_CALLS},
        )
    return lines


def decode_line(line: bytes) -> Line:
    """Read one call. InvalidRequest (with the id, where it could be read) when it is not one."""
    fields = _object(line)
    request_id = fields.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise InvalidRequest("'id' must be a UUID in a string", _why(Reason.REQUEST_ID))
    try:
        return Line(
            id=request_id,
            method=_method(fields),
            arguments=_arguments(line, fields.get("args", {})),
            deadline_ms=_positive(fields, "deadline", Reason.DEADLINE),
            attempt=_positive(fields, "attempt", Reason.MALFORMED) or 1,
        )
    except InvalidRequest as error:
        error.request_id = request_id
        raise


def _object(line: bytes) -> dict[str, Any]:
    try:
        fields = from_json(line, allow_inf_nan=False)
    except ValueError as error:
        reason = Reason.TOO_DEEP if "recursion" in str(error) else Reason.MALFORMED
        raise InvalidRequest(f"not a line of JSON in UTF-8: {error}", _why(reason)) from error
    if not isinstance(fields, dict):
        raise InvalidRequest(
            f'expected a JSON object {{"method", "args"}}, got {_kind(fields)}', _why(Reason.MALFORMED)
        )
    version: Any = fields.get("v", VERSION)
    if type(version) is not int or version != VERSION:
        raise InvalidRequest(
            f"wire version {version!r} is not served; this worker speaks {VERSION}",
            {"reason": Reason.VERSION, "supported": [VERSION]},
        )
    return fields


def _method(fields: dict[str, Any]) -> str:
    method = fields.get("method")
    if not isinstance(method, str) or not method:
        raise InvalidRequest("'method' must name a method, as in \"platform.get_credits\"", _why(Reason.MALFORMED))
    return method


def _positive(fields: dict[str, Any], key: str, reason: str) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 1 << 53:
        raise InvalidRequest(f"{key!r} must be a positive integer", _why(reason))
    return value


def _arguments(line: bytes, arguments: object) -> bytes:
    if not isinstance(arguments, dict):
        raise InvalidRequest(
            f"'args' must be an object of arguments by name, got {_kind(arguments)}", _why(Reason.MALFORMED)
        )
    if line.count(b"{") + line.count(b"[") > MAX_DEPTH and _depth(arguments) > MAX_DEPTH:
        raise InvalidRequest(
            f"arguments are nested deeper than {MAX_DEPTH}", {"reason": Reason.TOO_DEEP, "limit": MAX_DEPTH}
        )
    try:
        orjson.loads(line)  # refuses, and quickly, what was read above as an infinity
        encoded = sorted_json(arguments)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest("a number is beyond what a float64 can hold", _why(Reason.INVALID_ARGUMENT)) from error
    except TypeError as error:
        raise InvalidRequest(f"a number is out of range: {error}", _why(Reason.INVALID_ARGUMENT)) from error
    if b"\\u0000" in encoded and _ESCAPED_NUL.search(encoded):
        raise InvalidRequest("text holds U+0000, which the database cannot store", _why(Reason.INVALID_ARGUMENT))
    return encoded


def sorted_json(arguments: object) -> bytes:
    """Arguments in the one form in which equal ones are equal bytes. TypeError for an integer beyond 64 bits."""
    return orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS)


def _depth(value: object) -> int:
    """How deep containers nest. The parser has already bounded it at about 200."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if children is None else 1 + max(map(_depth, children), default=0)


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


def encode_error(error: RemoteError) -> str:
    """The outcome of a call that was answered with this error."""
    fields = {"error": error.code, "message": error.message, "details": error.details}
    return to_json(fields, inf_nan_mode="strings").decode()[1:]


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
