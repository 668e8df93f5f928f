"""``Admission.admit``: the lines of a message in; out for each the call that may run, or why it may not.

Most lines are plain: of their message's one method, and from a client that knows it. One schema of the whole line reads
such a line in one pass. What that schema does not take is looked at again, step by step, by which every refusal finds
its words; so is every line of a method whose arguments may hold any JSON, where types do not say all that matters.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field, create_model
from pydantic_core import from_json

from rpc_client import wire
from rpc_client.arguments import SHOWN, seems_doubled, sorted_json
from rpc_client.clocks import Clock
from rpc_client.contract import read_arguments
from rpc_client.contract.rowcall import Rowcall
from rpc_client.errors import InvalidRequest, Reason, RemoteError
from worker.calls import OTHER_IDS_DAY, Call, day_of, hash_arguments, identify
from worker.headers import bad_headers
from worker.redaction import without_secrets

if TYPE_CHECKING:
    from rpc_client.contract import Method
    from worker.calls import Answer, Origin
    from worker.served import Served
    from worker.settings import WorkerSettings

LARGE = 64 << 10
CONTENT_TYPES = {None, "", "application/json", "application/x-ndjson"}
Natural = Annotated[int, Field(gt=0, lt=1 << 53)]
Version = Annotated[int, Field(ge=wire.VERSION, le=wire.VERSION)]
"""Not a Literal, which takes true and 1.0 for 1."""
RequestId = Annotated[str, Field(pattern=f"^{wire.UUID_PATTERN}$")]


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is no call, or none that may run."""

    line: bytes
    method: str
    shown_id: str | None
    result: Exception


class Admission:
    """Everything that can be known of a call before it touches the database."""

    def __init__(self, served: Served, settings: WorkerSettings, clock: Clock | None = None) -> None:
        self._served = served
        self._settings = settings
        self._clock = clock or Clock()
        self._schemas: dict[str, type[BaseModel] | None] = {}

    def admit(self, lines: Sequence[bytes], origin: Origin, routing_key: str) -> list[Call | Refused]:
        """Read every line of a message. InvalidRequest where one id would be that of several."""
        if origin.replay is not None and origin.replay.request_id is not None and len(lines) > 1:
            raise bad_headers("x-rowcall-id is the id of one call, and the message holds several")
        if sum(map(len, lines)) > LARGE:
            with _no_collection():
                return self._read(lines, origin, routing_key)
        return self._read(lines, origin, routing_key)

    def _read(self, lines: Sequence[bytes], origin: Origin, routing_key: str) -> list[Call | Refused]:
        answer = self._served.answers.get(routing_key.partition(".")[2])
        if answer is None or answer.method.routing_key != routing_key or origin.replay is not None:
            return [self._carefully(line, origin, routing_key) for line in lines]
        schema = self._schema(answer.method)
        return [
            (schema and self._plainly(line, origin, answer, schema)) or self._carefully(line, origin, routing_key)
            for line in lines
        ]

    def _schema(self, method: Method[..., Any]) -> type[BaseModel] | None:
        """The schema of a plain line of this method; None where its arguments may hold any JSON."""
        if method.name not in self._schemas:
            free = _any_json(method.arguments.model_json_schema())
            self._schemas[method.name] = None if free else _plain_line(method)
        return self._schemas[method.name]

    def _plainly(self, line: bytes, origin: Origin, answer: Answer, schema: type[BaseModel]) -> Call | None:
        """The call, if there is nothing to be said against this line."""
        if b"\\u0000" in line:
            return None
        try:
            fields: Any = schema.model_validate_json(line, strict=True)
            as_sent = b""
            if answer.method.lane == "write":
                keys = from_json(line, allow_inf_nan=False)
                as_sent = sorted_json(keys["args"])
                if seems_doubled(line, keys, as_sent):
                    return None
            read = wire.Line(fields.id, answer.method.name, as_sent, fields.deadline, fields.attempt or 1)
            return self._call(line, read, answer, fields.id.lower(), vars(fields.args), origin)
        except Exception:  # noqa: BLE001 - a family's validator may raise anything; the careful way finds the words
            return None

    def _carefully(self, line: bytes, origin: Origin, routing_key: str) -> Call | Refused:
        """The call, or what is to be said against it."""
        method, shown_id = "?", None
        try:
            decoded = wire.decode_line(line, self._settings.max_depth)
            method, shown_id = decoded.method, decoded.id
            answer = self._served.find(method)
            if routing_key != answer.method.routing_key:
                raise InvalidRequest(
                    f"{method} travels under the routing key {answer.method.routing_key!r}, not {routing_key[:128]!r}",
                    {"reason": Reason.WRONG_LANE},
                )
            if decoded.doubled is not None and answer.method.lane == "write":
                key = decoded.doubled[:SHOWN]
                raise InvalidRequest(
                    f"the key {key!r} stands twice in one object", {"reason": Reason.DUPLICATE_KEY, "key": key}
                )
            request_id = identify(decoded, origin, write=answer.method.lane == "write")
            arguments = _arguments(answer.method, decoded.arguments)
            return self._call(line, decoded, answer, request_id, arguments, origin)
        except RemoteError as error:
            return Refused(line, method, shown_id or error.request_id, error)
        except Exception as error:  # noqa: BLE001 - a bug of ours is no reason to leave a caller without an answer
            return Refused(line, method, shown_id, error)

    def _call(
        self,
        line: bytes,
        read: wire.Line,
        answer: Answer,
        request_id: str,
        arguments: dict[str, object],
        origin: Origin,
    ) -> Call:
        write = answer.method.lane == "write"
        days, ahead_s = self._settings.retention_days, self._clock.ahead_s
        return Call(
            line=line,
            answer=answer,
            id=request_id,
            day=day_of(request_id, now=origin.received_at + ahead_s, retention_days=days) if write else OTHER_IDS_DAY,
            shown_id=read.id or request_id,
            caller=origin.caller,
            arguments=arguments,
            args_hash=hash_arguments(read.method, read.arguments) if write else b"",
            expires_at=self._expiry(read.deadline_ms, origin),
            maybe_repeat=write and (origin.redelivered or read.attempt > 1 or origin.replay is not None),
            replayed=origin.replay is not None,
            awaited=origin.reply_to is not None,
            ahead_s=ahead_s,
            attempt=read.attempt,
            deadline_ms=read.deadline_ms,
            # What every worker answers itself takes none down.
            suspect=origin.redelivered and answer.method.owner is not Rowcall,
            message_id=origin.message_id or f"{origin.reply_to} {origin.correlation_id}",
        )

    def _expiry(self, deadline_ms: int | None, origin: Origin) -> float:
        """When its time is up, by our clock. A sender whose clock is ahead gets no more than the broker was told."""
        if origin.replay is not None:
            deadline_ms = origin.replay.deadline_ms
        if deadline_ms is None:
            return origin.received_at + self._settings.default_deadline_s
        latest = origin.received_at + min(self._settings.max_deadline_s, origin.time_s)
        return min(deadline_ms / 1000 - self._clock.ahead_s, latest)


def check_envelope(body: bytes, content_type: str | None, encoding: str | None, settings: WorkerSettings) -> None:
    """InvalidRequest for a message that is not to be read at all: by its size, or by what it says it holds."""
    if len(body) > settings.message_bytes:
        raise InvalidRequest(
            f"the message has {len(body)} bytes; the limit is {settings.body_bytes} (ROWCALL_BODY_BYTES)",
            {"reason": Reason.TOO_LARGE, "limit": settings.body_bytes},
        )
    if content_type not in CONTENT_TYPES:
        raise InvalidRequest(
            f"content type {str(content_type)[:64]!r} is not read here; send application/json",
            {"reason": Reason.CONTENT_TYPE},
        )
    if encoding:
        raise InvalidRequest("content encodings are not read here; send plain JSON", {"reason": Reason.ENCODING})


def _arguments(method: Method[..., Any], encoded: bytes) -> dict[str, object]:
    try:
        return read_arguments(method, encoded)
    except InvalidRequest as error:
        raise without_secrets(method, error, encoded) from None


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """A megabyte may be half a million lists: looking for garbage among them takes ten times as long as reading."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _plain_line(method: Method[..., Any]) -> type[BaseModel]:
    """A whole line of this method: what ``wire.decode_line`` and its arguments' model would say, in one pass."""
    fields: dict[str, Any] = {
        "id": (RequestId, ...),
        "method": (Literal[method.name], ...),
        "args": (method.arguments, ...),
        "deadline": (Natural | None, None),
        "attempt": (Natural | None, 1),
        "v": (Version, 1),
    }
    return create_model(method.name, **fields)


def _any_json(schema: object) -> bool:
    """Whether a value of this JSON schema may hold any JSON at all."""
    if not isinstance(schema, dict):
        return schema is True
    if not schema.keys() & {"type", "$ref", "enum", "const", "anyOf", "allOf", "oneOf"}:
        return True
    parts = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", [])]
    parts += [schema[name] for name in ("items", "additionalProperties") if name in schema]
    parts += [part for name in ("allOf", "oneOf", "prefixItems") for part in schema.get(name, [])]
    if schema.get("type") == "array" and not schema.keys() & {"items", "prefixItems"}:
        return True
    return any(map(_any_json, parts))
