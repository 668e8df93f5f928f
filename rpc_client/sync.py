"""``Client``: the same client for programs without an event loop."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar
from uuid import UUID

import orjson

from rpc_client.background import Background, refuse_inside_a_loop
from rpc_client.calls import Options, json_of, prepare, prepare_by_name, result_of
from rpc_client.client import AsyncClient
from rpc_client.contract.rowcall import CallOutcome, ServerInfo
from rpc_client.errors import Disconnected, RPCError, leave_behind
from rpc_client.settings import ClientSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from rpc_client import wire
    from rpc_client.contract import Lane, Method, Write
    from rpc_client.contract.platform import SyncPlatform
    from rpc_client.parcels import Pending

P = ParamSpec("P")
R = TypeVar("R")


class Client:
    """Calls methods by message and waits for them. Share one between threads; constructing it does no I/O.

    ``with Client() as client: client.platform.get_credits("user-1")``. A family of another package binds to it in the
    same way: ``SyncAccounts(client)``. Settings come from the environment unless given.

    All sync clients of a process share one event loop in a thread of its own. Calls that threads make in the same
    moment travel together. After a fork, the child has a connection of its own, and the parent keeps its own.

    In a thread that runs an event loop every call raises InsideEventLoop: use ``AsyncClient`` there. Ctrl-C interrupts
    a waiting call, which may still run; the ``KeyboardInterrupt`` carries its ``request_id`` and ``method``.

    Args:
        timeout_s: how long a call may take, at most 300; ``ROWCALL_TIMEOUT_S`` unless given.
    """

    def __init__(self, settings: ClientSettings | None = None, *, timeout_s: float | None = None) -> None:
        self.settings = settings or ClientSettings()
        self._options = Options.of(self.settings, timeout_s)
        self._shared = Shared(self.settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Calls that other threads still wait for end as OutcomeUnknown."""
        self._shared.close()

    @property
    def platform(self) -> SyncPlatform:
        """Agent graphs, their executions, and the credits they cost."""
        from rpc_client.contract.platform import SyncPlatform

        return SyncPlatform(self)

    def with_options(
        self, *, timeout_s: float | None = None, request_id: UUID | None = None, idempotency_key: str | None = None
    ) -> Client:
        """This client, on the same connection, with other options: those of ``AsyncClient.with_options``."""
        other = object.__new__(type(self))
        other.settings, other._shared = self.settings, self._shared
        other._options = self._options.but(timeout_s=timeout_s, request_id=request_id, idempotency_key=idempotency_key)
        return other

    def call(self, method: Method[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """Send a call of a declared method and return its typed result."""
        call = prepare(method, args, kwargs, self._options)
        return result_of(method, call, self._exchange(call))

    def call_by_name(self, name: str, lane: Lane, arguments: Mapping[str, Any]) -> Any:
        """Send a call by its name on the wire and return its result as plain JSON values."""
        call = prepare_by_name(name, lane, arguments, self._options)
        return orjson.loads(json_of(call, self._exchange(call)))

    def send(self, method: Write[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> UUID:
        """Hand a write to the broker, without waiting for its outcome; ``AsyncClient.send`` tells all of it."""
        call = prepare(method, args, kwargs, self._options)
        self._wait_for(call, lambda client: client.hand_over(call))
        return UUID(call.id)

    def outcome(self, request_id: UUID | str, *, fence: bool = False) -> CallOutcome:
        """What became of a write, by its id; with `fence` it is decided. ``AsyncClient.outcome`` tells all of it."""
        return self.run(lambda client: client.outcome(request_id, fence=fence))

    def server_info(self) -> ServerInfo:
        """What the worker that happens to answer serves, and its limits. It does not ask its database."""
        return self.run(lambda client: client.server_info())

    def ping(self) -> float:
        """The seconds that a call takes to a worker and back; ``AsyncClient.ping`` tells all of it."""
        return self.run(lambda client: client.ping())

    def run(self, work: Callable[[AsyncClient], Coroutine[Any, Any, R]]) -> R:
        """Run a coroutine function with this client's async half, and wait for what it returns.

        So one thread makes many calls that travel together::

            async def balances(client: AsyncClient) -> list[int]:
                return await asyncio.gather(*(client.platform.get_credits(user) for user in users))

            client.run(balances)
        """
        return self._shared.run(lambda client: work(client.with_the(self._options)))

    def _exchange(self, call: Pending) -> wire.Reply:
        return self._wait_for(call, lambda client: client.exchange(call))

    def _wait_for(self, call: Pending, work: Callable[[AsyncClient], Coroutine[Any, Any, R]]) -> R:
        """Do this with a prepared call. Whatever ends the wait says which call it was."""
        try:
            return self._shared.run(work)
        except RPCError as error:
            error.request_id, error.method = call.id, call.method
            raise
        except BaseException as error:
            leave_behind(error, request_id=call.id, method=call.method)
            raise


class Shared:
    """What a client and its copies with other options share: one connection in every process that uses them."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._closed = False
        self._opened: tuple[Background, AsyncClient] | None = None

    def run(self, work: Callable[[AsyncClient], Coroutine[Any, Any, R]]) -> R:
        """Do this with the async client of this process, and wait for it."""
        background = Background.current()
        return background.run(partial(self._work, background, work))

    async def _work(self, background: Background, work: Callable[[AsyncClient], Coroutine[Any, Any, R]]) -> R:
        # In the one thread of the loop, so that the first calls of many threads open but one connection.
        if self._closed:
            raise Disconnected("this client is closed")
        if self._opened is None or self._opened[0] is not background:
            self._opened = (background, background.adopt(AsyncClient(self._settings)))
        return await work(self._opened[1])

    def close(self) -> None:
        """Close this process's connection, if it has one, and take no calls any more."""
        refuse_inside_a_loop()
        self._closed = True
        if (background := Background.running()) is not None:
            background.run(partial(self._close, background))

    async def _close(self, background: Background) -> None:
        # In the loop as well, where a first call may be opening a connection just now.
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] is background:
            await background.drop(opened[1])

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if self._opened is not None and self._opened[0].is_current:
            warn("a Client was never closed; use `with`, or `client.close()`", ResourceWarning, 2)
            self._opened[0].drop_soon(self._opened[1])
