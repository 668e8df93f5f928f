"""A call before it leaves and after its reply came: the same for both clients, in whatever thread."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid5

import orjson
from uuid_utils import uuid7

from rpc_client import wire
from rpc_client.arguments import SHOWN, encode_arguments
from rpc_client.contract._record import as_utc
from rpc_client.contract._values import read_result
from rpc_client.errors import InvalidRequest, Reason, RemoteError
from rpc_client.parcels import Pending

if TYPE_CHECKING:
    from rpc_client.contract import Lane, Method
    from rpc_client.settings import ClientSettings

R = TypeVar("R")
_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")
MAX_TIMEOUT_S = 300.0
"""No worker lets a call ask for more."""


@dataclass(frozen=True, slots=True)
class Options:
    """What may differ from call to call."""

    settings: ClientSettings
    timeout_s: float
    request_id: str | None = None

    @classmethod
    def of(cls, settings: ClientSettings, timeout_s: float | None) -> Options:
        """A client's options as it is made."""
        return cls(settings, settings.timeout_s).but(timeout_s=timeout_s)

    def but(
        self, *, timeout_s: float | None = None, request_id: UUID | None = None, idempotency_key: str | None = None
    ) -> Options:
        """These, with others where they are given. ValueError for a time-out that no worker grants."""
        options = self
        if timeout_s is not None:
            if not 0 < timeout_s <= MAX_TIMEOUT_S:
                raise ValueError(f"timeout_s must be above 0 and at most {MAX_TIMEOUT_S:g} seconds, not {timeout_s}")
            options = replace(options, timeout_s=timeout_s)
        if idempotency_key is not None:
            request_id = idempotency_id(self.settings.caller, idempotency_key)
        return options if request_id is None else replace(options, request_id=str(request_id))

    def without_id(self) -> Options:
        """These, for a call that gets an id of its own."""
        return replace(self, request_id=None)


def prepare(method: Method[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: Options) -> Pending:
    """A call of a declared method, ready to leave. TypeError when the arguments do not fit its signature."""
    arguments = {name: _sendable(value) for name, value in method.bind(args, kwargs).items()}
    return prepare_by_name(method.name, method.lane, arguments, options, slow=method.slow)


def prepare_by_name(
    name: str, lane: Lane, arguments: Mapping[str, Any], options: Options, *, slow: bool = True
) -> Pending:
    """A call by its name on the wire, ready to leave. InvalidRequest when it is too large to, or has no such name."""
    request_id = options.request_id or str(uuid7())
    if not _NAME.fullmatch(name):
        message = f"{name[:SHOWN]!r} cannot be the name of a method, which is family.method"
        raise InvalidRequest(message, {"reason": Reason.UNKNOWN_METHOD}, request_id=request_id)
    encoded = encode_arguments(arguments, name)
    if len(encoded) > (limit := options.settings.body_bytes):
        message = f"{name}: the arguments take {len(encoded)} bytes; the limit is {limit} (ROWCALL_BODY_BYTES)"
        details = {"reason": Reason.TOO_LARGE, "limit": limit}
        raise InvalidRequest(message, details, request_id=request_id, method=name)
    now = time.monotonic()
    chosen = options.request_id is not None
    return Pending(request_id, name, lane, encoded, now + options.timeout_s, slow, chosen=chosen, issued_at=now)


def result_of(method: Method[..., R], call: Pending, reply: wire.Reply) -> R:
    """What a reply says, as the method's own type, or the error it names."""
    return read_result(method, json_of(call, reply, method.errors), request_id=call.id)


def json_of(call: Pending, reply: wire.Reply, known: Mapping[str, type[RemoteError]] = MappingProxyType({})) -> bytes:
    """The JSON of a reply's result, or the error it names."""
    if reply.result is None:
        raise wire.decode_error(reply.error or {}, known, request_id=call.id, method=call.method)
    return reply.result


def idempotency_id(caller: str, key: str) -> UUID:
    """The request id that stands for this text among this caller's calls."""
    return uuid5(wire.KEY_NAMESPACE, orjson.dumps([caller, key]).decode())


def _sendable(value: object) -> object:
    """Naive moments are taken as UTC and never go on the wire."""
    return as_utc(value) if isinstance(value, datetime) else value
