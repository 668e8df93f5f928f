"""Every error a caller can meet, and whether the call may have run.

RPCError
├── CallFailed                nobody answered; raised by the client itself
│   ├── Disconnected          the client is closed, or another event loop's: did not run
│   ├── InsideEventLoop       a sync client was called where an event loop runs: did not run
│   ├── OutcomeUnknown        the deadline passed: may have run
│   ├── Unroutable            no worker has ever declared the queue: did not run
│   └── UnreadableResult      did run, but the result does not fit this client's contract
└── RemoteError               the worker answered with an error
    ├── InvalidRequest        the request itself is wrong: did not run
    ├── NotFoundError         what the method needs is absent: changed nothing
    ├── AuthorizationError    not the caller's to see or to change: changed nothing
    ├── InsufficientCredits   the balance is below the price: changed nothing
    ├── IdempotencyKeyReused  this id belongs to another call: did not run
    ├── DeadlineExceeded      expired before it could commit: did not run
    ├── Conflict              the present state forbids the change: changed nothing
    ├── Unavailable           infrastructure is away; try again: did not run
    ├── ResultTooLarge        the answer exceeds the limit: changed nothing
    ├── InternalError         a bug in the worker: did not run, a write is kept for replay
    └── UnknownRemoteError    one that this client does not know: only a newer one can tell

On the wire an error is ``{"id", "error", "message", "details"}``; ``error`` is the class name, which never changes.
DeadlineExceeded, Unavailable and InternalError are said of one attempt, and its ``"attempt"`` and ``"deadline"`` stand
beside, as they were sent: whoever has sent another since under the same id has not heard its end.
A family may declare errors of its own by subclassing ``RemoteError`` in its contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class RPCError(Exception):
    """Anything that can go wrong with a call. ``request_id`` and ``method`` say with which."""

    def __init__(self, message: str, *, request_id: str | None = None, method: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.method = method

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), (str(self),), {"request_id": self.request_id, "method": self.method})


class CallFailed(RPCError):
    """Nobody answered; the client itself raised this."""


class Disconnected(CallFailed):
    """The client is closed, or lives on another event loop; the call did not run."""


class InsideEventLoop(CallFailed):
    """A sync client was called in a thread that runs an event loop, which would stand still; the call did not run.

    Use ``AsyncClient`` there, or ``await asyncio.to_thread(…)``.
    """


class OutcomeUnknown(CallFailed):
    """The deadline passed without an answer; the call may have run.

    ``request_id`` names it. ``client.outcome(error.request_id, fence=True)`` decides it: either it has run, or it never
    will. Sending the same call again under the same id runs it at most once.
    """


class Unroutable(CallFailed):
    """No worker has ever served this lane under this prefix; the call did not run."""


class UnreadableResult(CallFailed):
    """The call ran and its result does not fit this client's contract: client and worker are of different versions."""


class RemoteError(RPCError):
    """The worker answered with an error. Its class name is the ``error`` word on the wire."""

    status_code: ClassVar[int] = 500
    """What this error means in HTTP's terms."""
    retryable: ClassVar[bool] = False
    """Whether the very same call may succeed later without anybody mending anything."""

    def __init__(
        self,
        message: str,
        details: Mapping[str, Any] | None = None,
        *,
        request_id: str | None = None,
        method: str | None = None,
    ) -> None:
        super().__init__(message, request_id=request_id, method=method)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})

    @property
    def code(self) -> str:
        """The stable word of this error on the wire."""
        return type(self).__name__

    def __reduce__(self) -> tuple[Any, ...]:
        named = {"request_id": self.request_id, "method": self.method}
        return _rebuild, (type(self), (self.message, self.details), named)


class UnknownRemoteError(RemoteError):
    """The worker named an error this client does not know; whether the call ran, only a newer client can tell."""

    def __init__(self, message: str, details: Mapping[str, Any] | None = None, *, code: str = "", **named: Any) -> None:
        super().__init__(message, details, **named)
        self._code = code

    @property
    def code(self) -> str:
        return self._code

    def __reduce__(self) -> tuple[Any, ...]:
        named = {"code": self._code, "request_id": self.request_id, "method": self.method}
        return _rebuild, (type(self), (self.message, self.details), named)


class InvalidRequest(RemoteError):
    """The request is malformed, or does not fit the contract; it did not run.

    ``details["reason"]`` is one of ``Reason``; ``details["argument"]`` names the argument where one is to blame.
    """

    status_code = 422


class NotFoundError(RemoteError):
    """Something this method needs does not exist; nothing changed."""

    status_code = 404


class AuthorizationError(RemoteError):
    """The caller may not do this; nothing changed."""

    status_code = 403


class InsufficientCredits(RemoteError):
    """The balance is below the price; nothing changed. ``details``: ``balance`` and ``cost``, both in cents."""

    status_code = 402


class IdempotencyKeyReused(RemoteError):
    """This request id already belongs to another call (other method, other arguments, other caller); it did not run."""

    status_code = 409


class DeadlineExceeded(RemoteError):
    """The call expired before it could commit; it did not run and will not, unless it is sent again under its id.

    ``details["now"]`` is the time then, by the clock that judged it, in milliseconds since 1970.
    """

    status_code = 504


class Conflict(RemoteError):
    """The present state forbids the change; nothing changed. ``details`` name that state."""

    status_code = 409


class Unavailable(RemoteError):
    """Infrastructure behind the worker is away or busy. Try again, under the same id.

    The call did not run; where even that could not be looked up, the message says so, and a write is kept for replay.
    """

    status_code = 503
    retryable = True


class ResultTooLarge(RemoteError):
    """The answer exceeds the reply limit; nothing changed. The message says how to page."""

    status_code = 413


class InternalError(RemoteError):
    """A bug on the worker's side; the call did not run, or the message says that an earlier attempt at it may have run.

    With ``details["reason"]`` `poison`, three workers were lost while they had it; no other is given it.
    A write is kept as a dead letter and may be replayed. A fence forbids that: ``client.outcome(id, fence=True)``.
    """


def leave_behind(interruption: BaseException, *, request_id: str, method: str) -> None:
    """Say on what interrupted the wait for a call (a cancellation, Ctrl-C) which call that was: it may still run.

    As the attributes ``request_id`` and ``method``, and as a note for whoever reads the traceback. A class of our own
    would say it better, but ``asyncio.timeout`` knows a cancellation by its very class.
    """
    vars(interruption).update(request_id=request_id, method=method)
    interruption.add_note(f"{method} was left waiting and may still run, under the request id {request_id}")


def _rebuild(cls: type[RPCError], args: tuple[Any, ...], named: dict[str, Any]) -> RPCError:
    return cls(*args, **named)


BUILT_IN: Mapping[str, type[RemoteError]] = {
    cls.__name__: cls
    for cls in (
        InvalidRequest,
        NotFoundError,
        AuthorizationError,
        InsufficientCredits,
        IdempotencyKeyReused,
        DeadlineExceeded,
        Conflict,
        Unavailable,
        ResultTooLarge,
        InternalError,
    )
}
"""Error word -> class, for every error that any method may answer."""
ANYWHERE = (InvalidRequest, ResultTooLarge, Unavailable, DeadlineExceeded)
"""Those that a method may raise without declaring them."""


class Reason:
    """The words ``details["reason"]`` can hold."""

    MALFORMED = "malformed"
    DUPLICATE_KEY = "duplicate_key"
    ENCODING = "encoding"
    CONTENT_TYPE = "content_type"
    VERSION = "version"
    UNKNOWN_METHOD = "unknown_method"
    WRONG_LANE = "wrong_lane"
    MISSING_ARGUMENT = "missing_argument"
    UNKNOWN_ARGUMENT = "unknown_argument"
    INVALID_ARGUMENT = "invalid_argument"
    REQUEST_ID = "request_id"
    REQUEST_ID_REQUIRED = "request_id_required"
    REQUEST_ID_DAY = "request_id_day"
    DEADLINE = "deadline"
    TOO_LARGE = "too_large"
    TOO_MANY_CALLS = "too_many_calls"
    TOO_DEEP = "too_deep"
    FENCED = "fenced"
    REPLACED = "replaced"
    HEADERS = "headers"
    OPERATOR = "operator"
    REDELIVERED = "redelivered"
    POISON = "poison"
    NO_KEY = "no_key"
    SEALED = "sealed"
