"""What a stub was told to answer and was asked: it takes calls in the place of broker, worker and database."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rpc_client import wire
from rpc_client.contract import Method, read_arguments, write_result
from rpc_client.errors import (
    ANYWHERE,
    CallFailed,
    Disconnected,
    IdempotencyKeyReused,
    InternalError,
    InvalidRequest,
    OutcomeUnknown,
    RemoteError,
    RPCError,
    UnknownRemoteError,
)

if TYPE_CHECKING:
    from rpc_client.parcels import Pending

Outcome = str | CallFailed
"""How a call ends: with a reply, of which this is the text after its id, or with an error of the client itself."""


class StubError(AssertionError):
    """A stub was told what its contract forbids, or was asked what it was not prepared for.

    No ``RPCError``, so that no program takes it for one.
    """


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call that a worker would have run."""

    method: str
    """Its name on the wire."""
    arguments: dict[str, Any]
    """All of them, by name, as the contract's types; defaults are filled in."""
    request_id: str
    """What makes a repeat of it known: the caller's own, where ``with_options`` gave one."""


@dataclass(frozen=True, slots=True)
class InOrder:
    """One outcome after the other."""

    method: Method[..., Any]
    outcomes: Iterator[Outcome]

    async def outcome(self, _: dict[str, object]) -> Outcome:
        for outcome in self.outcomes:
            return outcome
        raise StubError(f"{self.method.name} was called more often than answers were prepared for it")


@dataclass(frozen=True, slots=True)
class ByFunction:
    """Whatever the arguments make of it."""

    method: Method[..., Any]
    function: Callable[..., Any]

    async def outcome(self, arguments: dict[str, object]) -> Outcome:
        # By place where the contract lets them be: the function may name them as it likes.
        given = self.method.signature.bind(**arguments)
        try:
            made = self.function(*given.args, **given.kwargs)
            return outcome_of(self.method, await made if inspect.isawaitable(made) else made)
        except RPCError as error:
            return error_of(self.method, error)


class Script:
    """Takes calls in the place of broker, worker and database: bytes in, bytes out."""

    def __init__(self) -> None:
        self.prepared: dict[str, InOrder | ByFunction] = {}
        self.calls: list[RecordedCall] = []
        self._closed = False

    async def close(self) -> None:
        self._closed = True

    async def request(self, call: Pending) -> wire.Reply:
        """The reply to a call, as a worker would write it."""
        if self._closed:
            raise Disconnected("this client is closed", request_id=call.id, method=call.method)
        call.attempt += 1
        deadline = asyncio.timeout(call.left_s)
        try:
            async with deadline:
                outcome = await self._outcome(call)
        except TimeoutError:
            if not deadline.expired():
                raise
            outcome = OutcomeUnknown(f"no reply to {call.method} in time: its stub is still at it")
        if isinstance(outcome, CallFailed):
            raise _raised(outcome, call)
        return wire.read_reply(wire.encode_reply(call.id, outcome))

    async def _outcome(self, call: Pending) -> Outcome:
        if (prepared := self.prepared.get(call.method)) is None:
            known = ", ".join(sorted(self.prepared)) or "none"
            message = f"{call.method} was called with {call.arguments.decode()}, and no answer was prepared for it"
            raise StubError(f"{message}: .answers(…), .raises(…), .answers_by(…); prepared are: {known}")
        try:
            arguments = read_arguments(prepared.method, wire.decode_line(call.line()).arguments)
        except InvalidRequest as error:
            return wire.encode_error(error)
        self.calls.append(RecordedCall(call.method, dict(arguments), call.id))
        return await prepared.outcome(arguments)


def outcome_of(method: Method[..., Any], given: object) -> Outcome:
    return error_of(method, given) if isinstance(given, RPCError) else result_of(method, given)


def result_of(method: Method[..., Any], result: object) -> str:
    """The result as it would be replied. StubError for one that the contract does not know."""
    try:
        return wire.encode_result(write_result(method, result))
    except ValidationError as error:
        misfits = [": ".join([*map(str, first["loc"]), first["msg"]]) for first in error.errors(include_url=False)]
        raise StubError(f"{method!r} cannot answer {result!r}: {'; '.join(misfits)}") from None
    except ValueError as error:
        raise StubError(f"{method!r} cannot answer {result!r}: {error}") from None


def error_of(method: Method[..., Any], error: object) -> Outcome:
    """The error as it would arrive. StubError for one that could not."""
    if isinstance(error, CallFailed):
        return error
    anywhere = (
        *ANYWHERE,
        InternalError,
        UnknownRemoteError,
        *([IdempotencyKeyReused] if method.lane == "write" else []),
    )
    if not isinstance(error, RemoteError) or not isinstance(error, (*method.raises, *anywhere)):
        declared, others = (", ".join(kind.__name__ for kind in kinds) for kinds in (method.raises, anywhere))
        message = f"{method.name} cannot raise {error!r}: its contract declares {declared or 'no error'}"
        raise StubError(f"{message}; any {method.lane} may raise {others}, and what the client raises: CallFailed")
    return wire.encode_error(error)


def _raised(error: CallFailed, call: Pending) -> CallFailed:
    """The error for this very call; each gets one of its own, since raising writes into it."""
    own = copy.copy(error)
    own.request_id, own.method = own.request_id or call.id, own.method or call.method
    return own


def check_signature(method: Method[..., Any], function: Callable[..., Any]) -> None:
    """StubError for a function that cannot take the method's arguments."""
    given = method.signature.bind(**dict.fromkeys(method.parameters))
    try:
        inspect.signature(function).bind(*given.args, **given.kwargs)
    except TypeError as error:
        raise StubError(f"{method!r} cannot be answered by {function!r}: {error}") from None
    except ValueError:
        return  # some built-in functions do not say what they take; the first call will
