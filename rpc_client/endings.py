"""What becomes of calls that the broker turns away, and of answers that are not the end of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from rpc_client.errors import AuthorizationError, DeadlineExceeded, IdempotencyKeyReused, OutcomeUnknown, Unroutable

if TYPE_CHECKING:
    from rpc_client.parcels import Flight, Pending
    from rpc_client.wire import Reply


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


def unroutable(call: Pending, queue: str) -> Unroutable:
    """What to tell the caller when no queue takes this call."""
    message = f"{call.method}: no queue {queue} takes it; start a worker under this prefix: rowcall worker"
    return Unroutable(message, request_id=call.id, method=call.method)


def forbidden(call: Pending, words: str, *, refused: bool) -> AuthorizationError | OutcomeUnknown:
    """What to tell the caller when the broker forbids to publish this call, in the broker's words."""
    if call.attempt > 1 or not refused:
        message = f"{call.method} may not be sent, and may have run before that was so: {words}"
        return OutcomeUnknown(message, request_id=call.id, method=call.method)
    message = f"{call.method} may not be sent; it did not run: {words}"
    return AuthorizationError(message, request_id=call.id, method=call.method)


def is_of_an_earlier_attempt(reply: Reply, call: Pending) -> bool:
    """Whether a reply tells this call's caller of an attempt of his that he has given up.

    That a call came too late is said of one attempt. While this one has time left, another is meant, and this one may
    run. Where it is the worker's clock that is wrong, the caller learns at his deadline that the outcome is unknown.
    """
    if not call.chosen or reply.error is None or reply.error.get("error") != DeadlineExceeded.__name__:
        return False
    return call.left_s > 0
