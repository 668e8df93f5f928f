"""``AsyncClient``: the programs' side of Rowcall."""

from __future__ import annotations

import dataclasses
import time
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from uuid import UUID, uuid5

import orjson
from pydantic import ValidationError
from uuid_utils import uuid7

from rpc_client import wire
from rpc_client.arguments import encode_arguments
from rpc_client.contract._record import as_utc
from rpc_client.errors import InvalidRequest, Reason, UnreadableResult
from rpc_client.parcels import Pending
from rpc_client.settings import ClientSettings
from rpc_client.transport import Transport, caller_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rpc_client.contract import Lane, Method
    from rpc_client.contract.platform import AsyncPlatform

R = TypeVar("R")


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """What may differ from call to call."""

    timeout_s: float
    request_id: str | None = None


class Carrier(Protocol):
    """What takes a call to a worker and brings its reply: RabbitMQ, or memory in a test."""

    async def request(self, call: Pending) -> wire.Reply: ...
    async def close(self) -> None: ...


class AsyncClient:
    """Calls methods by message. Share one between tasks, use it as a context manager; constructing it does no I/O.

    ``async with AsyncClient() as client: await client.platform.get_credits("user-1")``. A family of another package
    binds to it in the same way: ``AsyncAccounts(client)``. Settings come from the environment unless given.
    """

    def __init__(self, settings: ClientSettings | None = None, *, transport: Carrier | None = None) -> None:
        self.settings = settings or ClientSettings()
        self._transport = transport or Transport(self.settings)
        self._options = Options(self.settings.timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection. Calls still waiting end as OutcomeUnknown."""
        await self._transport.close()

    @cached_property
    def platform(self) -> AsyncPlatform:
        """Agent graphs, their executions, and the credits they cost."""
        from rpc_client.contract.platform import AsyncPlatform

        return AsyncPlatform(self)

    def with_options(
        self, *, timeout_s: float | None = None, request_id: UUID | None = None, idempotency_key: str | None = None
    ) -> AsyncClient:
        """This client, on the same connection, with other options.

        Args:
            timeout_s: how long a call may take, at most 300.
            request_id: the id of the next call. A call runs at most once under one id and answers every repeat alike.
            idempotency_key: the same as text: any words that name this very operation of this very caller.
        """
        options = self._options
        if timeout_s is not None:
            if not 0 < timeout_s <= 300:
                raise ValueError(f"timeout_s must be above 0 and at most 300 seconds, not {timeout_s}")
            options = dataclasses.replace(options, timeout_s=timeout_s)
        if idempotency_key is not None:
            request_id = idempotency_id(caller_of(self.settings), idempotency_key)
        if request_id is not None:
            options = dataclasses.replace(options, request_id=str(request_id))
        other = object.__new__(type(self))
        other.settings, other._transport, other._options = self.settings, self._transport, options
        return other

    async def call(self, method: Method[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """Send a call of a declared method and return its typed result."""
        arguments = {name: _sendable(value) for name, value in method.bind(args, kwargs).items()}
        call = self._prepared(method.name, method.lane, arguments, slow=method.slow)
        reply = await self._transport.request(call)
        if reply.result is None:
            raise wire.decode_error(reply.error or {}, method.errors, request_id=call.id, method=method.name)
        try:
            return method.result.validate_json(reply.result)
        except ValidationError as error:
            message = f"{method.name} answered what {method.returns} cannot hold: {error.error_count()} fields differ"
            raise UnreadableResult(message, request_id=call.id, method=method.name) from error

    async def call_by_name(self, name: str, lane: Lane, arguments: Mapping[str, Any]) -> Any:
        """Send a call by its name on the wire and return its result as plain JSON values."""
        call = self._prepared(name, lane, arguments, slow=True)
        reply = await self._transport.request(call)
        if reply.result is None:
            raise wire.decode_error(reply.error or {}, {}, request_id=call.id, method=name)
        return orjson.loads(reply.result)

    def _prepared(self, name: str, lane: Lane, arguments: Mapping[str, Any], *, slow: bool) -> Pending:
        """A call ready to be sent, under its id and with its deadline."""
        encoded = encode_arguments(arguments, name)
        if len(encoded) > self.settings.body_bytes:
            limit = self.settings.body_bytes
            message = f"{name}: the arguments take {len(encoded)} bytes; the limit is {limit} (ROWCALL_BODY_BYTES)"
            raise InvalidRequest(message, {"reason": Reason.TOO_LARGE, "limit": limit}, method=name)
        options = self._options
        return Pending(options.request_id or str(uuid7()), name, lane, encoded, time.time() + options.timeout_s, slow)


def idempotency_id(caller: str, key: str) -> UUID:
    """The request id that stands for this text among this caller's calls."""
    return uuid5(wire.KEY_NAMESPACE, orjson.dumps([caller, key]).decode())


def _sendable(value: object) -> object:
    """Naive moments are taken as UTC and never go on the wire."""
    return as_utc(value) if isinstance(value, datetime) else value
