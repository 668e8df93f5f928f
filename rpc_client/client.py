"""``AsyncClient``: the programs' side of Rowcall."""

from __future__ import annotations

import asyncio
import time
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, Self, TypeVar
from uuid import UUID

import orjson

from rpc_client import wire
from rpc_client.calls import MAX_TIMEOUT_S, Options, json_of, prepare, prepare_by_name, result_of
from rpc_client.contract.rowcall import CallOutcome, Rowcall, ServerInfo
from rpc_client.errors import OutcomeUnknown, RPCError
from rpc_client.parcels import Pending
from rpc_client.settings import ClientSettings
from rpc_client.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from rpc_client.contract import Lane, Method, Write
    from rpc_client.contract.platform import AsyncPlatform

P = ParamSpec("P")
R = TypeVar("R")


class Carrier(Protocol):
    """What takes a call to a worker and brings its reply: RabbitMQ, or memory in a test."""

    async def request(self, call: Pending) -> wire.Reply: ...
    async def close(self) -> None: ...


class AsyncClient:
    """Calls methods by message. Share one between tasks, use it as a context manager; constructing it does no I/O.

    ``async with AsyncClient() as client: await client.platform.get_credits("user-1")``. A family of another package
    binds to it in the same way: ``AsyncAccounts(client)``. Settings come from the environment unless given.

    A call that is cancelled, by hand or by ``asyncio.timeout``, may still run: nothing calls it back. The
    ``CancelledError`` carries its ``request_id`` and ``method``; sending it again under that id runs it at most once.

    Args:
        timeout_s: how long a call may take, at most 300; ``ROWCALL_TIMEOUT_S`` unless given.
    """

    def __init__(
        self,
        settings: ClientSettings | None = None,
        *,
        timeout_s: float | None = None,
        transport: Carrier | None = None,
    ) -> None:
        self.settings = settings or ClientSettings()
        self._options = Options.of(self.settings, timeout_s)
        self._transport: Carrier
        self._lease: Lease | None = None
        if transport is None:
            self._transport = own = Transport(self.settings)
            self._lease = Lease(own)
        else:
            self._transport = transport

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
        return self.with_the(
            self._options.but(timeout_s=timeout_s, request_id=request_id, idempotency_key=idempotency_key)
        )

    def with_the(self, options: Options) -> AsyncClient:
        """This client, on the same connection, with just these options."""
        other = object.__new__(type(self))
        other.settings, other._transport, other._lease = self.settings, self._transport, self._lease
        other._options = options
        return other

    def fileno(self) -> int | None:
        """The file descriptor of its connection; None when it has none of its own."""
        return None if self._lease is None else self._lease.transport.fileno()

    async def call(self, method: Method[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """Send a call of a declared method and return its typed result."""
        call = prepare(method, args, kwargs, self._options)
        return result_of(method, call, await self.exchange(call))

    async def call_by_name(self, name: str, lane: Lane, arguments: Mapping[str, Any]) -> Any:
        """Send a call by its name on the wire and return its result as plain JSON values."""
        call = prepare_by_name(name, lane, arguments, self._options)
        return orjson.loads(json_of(call, await self.exchange(call)))

    async def send(self, method: Write[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> UUID:
        """Hand a write to the broker, without waiting for its outcome: ``await client.send(Platform.add_credits, …)``.

        A worker may run it within the 300 s that follow. Its outcome is told to nobody, but stays in its receipt.

        Returns:
            Its request id, once the broker has confirmed that it holds the write durably.

        Raises:
            OutcomeUnknown: no confirmation within `timeout_s`; the broker may have it all the same.
            Unroutable: no worker has ever declared the queue; it will not run.
        """
        call = prepare(method, args, kwargs, self._options)
        await self.hand_over(call)
        return UUID(call.id)

    async def outcome(self, request_id: UUID | str, *, fence: bool = False) -> CallOutcome:
        """What became of a write, known by its id: after a time-out, ``error.request_id``.

        Its ``state`` is `done`, `failed`, `fenced`, `dead_lettered` or `no_trace`; ``outcome.result(method)`` is what
        it returned, or raises what it was answered. May be asked again and again.

        Args:
            fence: decide it. A call that has not run is forbidden to: the state is `done`, `failed` or `fenced`.

        Raises:
            AuthorizationError: it is another caller's.
            InvalidRequest: this is no id, or it is older than outcomes are remembered.
            Unavailable, OutcomeUnknown: not known yet, a fence may stand or not; ask again. As in every error here,
                ``request_id`` is the id asked about.
        """
        asking = self.with_the(self._options.without_id())
        try:
            return await asking.call(Rowcall.outcome, (str(request_id),), {"fence": fence})
        except (RPCError, asyncio.CancelledError) as error:
            vars(error)["request_id"] = str(request_id)  # who asks again about the id of a question learns nothing
            raise

    async def server_info(self) -> ServerInfo:
        """What the worker that happens to answer serves, and its limits. It does not ask its database."""
        return await self.call(Rowcall.server_info, (), {})

    async def ping(self) -> float:
        """The seconds that a call takes to a worker and back, through the broker but without the database.

        Raises:
            OutcomeUnknown: nobody answered in time; the message says how many workers consume.
            Unroutable: no worker has ever declared the queue.
        """
        began = time.perf_counter()
        await self.server_info()
        return time.perf_counter() - began

    def exchange(self, call: Pending) -> Coroutine[Any, Any, wire.Reply]:
        """Take a prepared call to a worker and bring its reply."""
        return self._transport.request(call)

    async def hand_over(self, call: Pending) -> None:
        """Take a prepared write to the broker and wait until it is confirmed there."""
        wait_s = call.left_s
        call.sent, call.expires_at = True, call.issued_at + MAX_TIMEOUT_S
        try:
            async with asyncio.timeout(wait_s):
                await self.exchange(call)
        except TimeoutError:
            message = f"the broker did not confirm {call.method} in {wait_s:.3g} s; it may have it all the same"
            raise OutcomeUnknown(message, request_id=call.id, method=call.method) from None


class Lease:
    """What a client and its copies with other options hold of their connection: gone with the last of them."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if self.transport.is_open:
            warn("an AsyncClient was never closed; use `async with`, or `await client.close()`", ResourceWarning, 2)
