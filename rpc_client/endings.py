"""What becomes of calls that the broker turns away, and of answers that are not the end of a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from rpc_client.errors import (
    AuthorizationError,
    DeadlineExceeded,
    Disconnected,
    IdempotencyKeyReused,
    InternalError,
    InvalidRequest,
    OutcomeUnknown,
    Reason,
    Unavailable,
    Unroutable,
)

if TYPE_CHECKING:
    from rpc_client.flights import Flight
    from rpc_client.parcels import Pending
    from rpc_client.wire import Reply


TOO_LARGE = re.compile(r"message size (?P<size>\d+) is larger than (?:configured )?max size (?P<most>\d+)")
"""In the broker's words."""
ELSEWHERE = "this client lives on another event loop, that of its first call; make one on each, and close it there"
OF_AN_ATTEMPT = frozenset({DeadlineExceeded.__name__, InternalError.__name__, Unavailable.__name__})
"""These are said of one attempt: nothing of them is stored, and the next may run."""


def fail(calls: Iterable[Pending], why: Callable[[Pending], Exception]) -> None:
    """End those of these calls that still wait."""
    for call in calls:
        if not call.reply.done():
            call.reply.set_exception(why(call))


def reused(call: Pending, method: str) -> IdempotencyKeyReused:
    """What to tell the caller whose id is, or was a short time ago, that of a different call, of this method."""
    message = f"request id {call.id} belongs to a call of {method}; a new call needs a new id"
    return IdempotencyKeyReused(message, request_id=call.id, method=call.method)


def forbid(flights: Iterable[Flight], words: str) -> None:
    """End the calls of which the broker speaks when it forbids a publish: of those it names, else of all.

    Which of several it refused is not told, and those before that one it may have taken.
    """
    flying = list(flights)
    named = [flight for flight in flying if f"'{flight.routing_key}'" in words] or flying
    for flight in named:
        fail(flight.calls, partial(forbidden, words=words, refused=flight is named[-1]))


def turn_away(flights: Iterable[Flight], words: str) -> None:
    """End the calls of a message that the broker says is too large, known by its size. Companions go alone next."""
    said = TOO_LARGE.search(words)
    if said is None:
        return
    size, most = int(said["size"]), int(said["most"])
    for flight in flights:
        if flight.size != size:
            continue
        if len(flight.calls) == 1:
            fail(flight.calls, partial(too_large, size=size, most=most))
        for call in flight.calls:
            call.alone = True


def closed(call: Pending) -> Disconnected | OutcomeUnknown:
    """What to tell the caller of a client that is closed. Who waited for it before him may have sent it."""
    kind, told = (OutcomeUnknown, "; the call may have run") if call.may_have_run else (Disconnected, "")
    return kind(f"this client is closed{told}", request_id=call.id, method=call.method)


def unroutable(call: Pending, queue: str) -> Unroutable | OutcomeUnknown:
    """What to tell the caller when no queue takes this call. The broker may have taken an attempt before."""
    if call.may_have_run:
        message = f"{call.method}: no queue {queue} takes it any more; it may have run before"
        return OutcomeUnknown(message, request_id=call.id, method=call.method)
    message = f"{call.method}: no queue {queue} takes it; start a worker under this prefix: rowcall worker"
    return Unroutable(message, request_id=call.id, method=call.method)


def forbidden(call: Pending, words: str, *, refused: bool) -> AuthorizationError | OutcomeUnknown:
    """What to tell the caller when the broker forbids to publish this call, in the broker's words."""
    if call.attempt > call.refused + call.returned + 1 or not refused:
        message = f"{call.method} may not be sent, and may have run before that was so: {words}"
        return OutcomeUnknown(message, request_id=call.id, method=call.method)
    message = f"{call.method} may not be sent; it did not run: {words}"
    return AuthorizationError(message, request_id=call.id, method=call.method)


def too_large(call: Pending, *, size: int, most: int) -> InvalidRequest | OutcomeUnknown:
    """What to tell the caller when the broker takes no message of this call's size."""
    told = f"it takes {size} bytes, and RabbitMQ takes no message over {most} (max_message_size)"
    if call.attempt > call.refused + call.returned + 1:
        message = f"{call.method} may not be sent, and may have run before that was so: {told}"
        return OutcomeUnknown(message, request_id=call.id, method=call.method)
    message = f"{call.method} may not be sent; it did not run: {told}"
    details = {"reason": Reason.TOO_LARGE, "limit": most}
    return InvalidRequest(message, details, request_id=call.id, method=call.method)


def is_of_an_earlier_attempt(reply: Reply, call: Pending) -> bool:
    """Whether an error is said of an attempt after which another was sent, which may run.

    It may be of a call that its caller gave up and repeats under its id: that one had another deadline.
    """
    error = reply.error or {}
    if error.get("error") not in OF_AN_ATTEMPT or "deadline" not in error:
        return False
    return (error.get("attempt"), error["deadline"]) != (call.attempt, call.deadline_ms)
