"""``Teller``: the reply lines of calls that are done with, what is kept of them, and their lines in the log."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog
from pydantic_core import from_json

from rpc_client import wire
from rpc_client.clocks import NOW
from rpc_client.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    RemoteError,
    ResultTooLarge,
    Unavailable,
)
from worker.admission import Refused
from worker.attempts import MAX_ATTEMPTS
from worker.calls import UUID_SHAPE, Call, Origin, Outcome, Result
from worker.dead_letters import DeadLetter, error_text, traceback_text
from worker.logs import log_calls
from worker.redaction import secrets_of, takes_secrets

if TYPE_CHECKING:
    from rpc_client.clocks import Clock
    from worker.served import Served

log = structlog.get_logger("rowcall.call")


@dataclass(slots=True)
class Answered:
    """Replies to lines of a message, and what of them must be kept as dead letters."""

    replies: list[bytes]
    dead: list[DeadLetter] = field(default_factory=list)


class Teller:
    """Puts what calls came to into words."""

    def __init__(self, served: Served, clock: Clock) -> None:
        self._served = served
        self._clock = clock

    def answered(self, slots: Sequence[Call | Refused], started: float, origin: Origin) -> Answered:
        """The replies to lines that are done with, and a line in the log for each."""
        answered = Answered([])
        answered.replies += [self._reply(slot, answered.dead) for slot in slots]
        if origin.reply_to is None:
            answered.dead += [letter for slot in slots if (letter := self._untold(slot)) is not None]
        log_calls(
            [self._logged(slot) for slot in slots],
            ms=round((time.perf_counter() - started) * 1000, 2),
            redelivered=origin.redelivered,
        )
        return answered

    def _reply(self, slot: Call | Refused, dead: list[DeadLetter]) -> bytes:
        """The reply line of a result. A bug is logged, and a write that met one is kept."""
        result = slot.result
        assert result is not None
        if isinstance(result, Outcome):
            return wire.encode_reply(slot.shown_id, result.text)
        if isinstance(result, RemoteError):
            if isinstance(result, DeadlineExceeded):
                result.details[NOW] = int(self._clock.now() * 1000)
            if isinstance(result, Unavailable) and isinstance(slot, Call) and slot.maybe_repeat:
                dead.append(self._letter(slot, "exhausted", result))
            if isinstance(result, InternalError) and self._is_write(slot):  # a suspect: no method may raise it
                dead.append(replace(self._letter(slot, "poison", result), attempts=MAX_ATTEMPTS))
            passing = isinstance(result, DeadlineExceeded | Unavailable | InternalError)
            return wire.encode_reply(slot.shown_id, wire.encode_error(result, _attempt_of(slot) if passing else None))
        where = traceback_text(result, self._secrets(slot))
        log.error("a bug", **self._named(slot), exception=where)
        told = "the call did not run"
        if self._is_write(slot):
            dead.append(self._letter(slot, "internal", result, where))
            first = isinstance(slot, Call) and not slot.maybe_repeat
            told = f"{told} and" if first else "whether the call ran before is not known; it"
            told += " is kept for replay under this id"
        error = InternalError(f"a bug on the worker's side; {told}")
        return wire.encode_reply(slot.shown_id, wire.encode_error(error, _attempt_of(slot)))

    def _is_write(self, slot: Call | Refused) -> bool:
        answer = self._served.answers.get(slot.method)
        return answer is not None and answer.method.lane == "write"

    def _untold(self, slot: Call | Refused) -> DeadLetter | None:
        """What is kept of a call that left nothing behind, and whose error nobody waits for."""
        result = slot.result
        if isinstance(result, InvalidRequest):
            return self._letter(slot, "malformed", result)
        tried = isinstance(slot, Call) and slot.maybe_repeat
        if isinstance(result, DeadlineExceeded):
            return self._letter(slot, "exhausted" if tried else "expired", result)
        if isinstance(result, Unavailable) and tried:
            return None  # kept already, as one that may have run
        return self._letter(slot, "exhausted", result) if isinstance(result, Unavailable | ResultTooLarge) else None

    def _letter(self, slot: Call | Refused, reason: str, error: Exception, where: str = "") -> DeadLetter:
        request_id = slot.id if isinstance(slot, Call) else None
        return DeadLetter(slot.line, reason, error_text(error, self._secrets(slot)), where, request_id)

    def _secrets(self, slot: Call | Refused) -> tuple[str, ...]:
        """What of this call nobody may read in an error."""
        answer = self._served.answers.get(slot.method)
        if answer is None or not takes_secrets(answer.method):
            return ()
        return secrets_of(answer.method, from_json(slot.line).get("args", {}))

    def _logged(self, slot: Call | Refused) -> dict[str, object]:
        """What the log says of a call."""
        return {**self._named(slot), "outcome": _word(slot.result)}

    def _named(self, slot: Call | Refused) -> dict[str, str | None]:
        """Which call it is. Of a line that was refused, nothing that only its sender says."""
        method, shown_id = slot.method, slot.shown_id
        if isinstance(slot, Refused):
            method = method if method in self._served.answers else "?"
            shown_id = shown_id if shown_id is not None and UUID_SHAPE.fullmatch(shown_id) else None
        return {"method": method, "id": shown_id}


def refused(body: bytes, origin: Origin, error: RemoteError) -> Answered:
    """The answer to a message of which nothing runs; what nobody can be told is kept."""
    log.info("refused", error=error.code, reason=error.details.get("reason"))
    untold = [DeadLetter(body, "malformed", error_text(error))] if origin.reply_to is None else []
    return Answered([wire.encode_reply(wire.only_id(body), wire.encode_error(error))], untold)


def _attempt_of(slot: Call | Refused) -> tuple[int, int] | None:
    """Of which attempt something is said: its sender may have sent another since, which may run."""
    return (slot.attempt, slot.deadline_ms) if isinstance(slot, Call) and slot.deadline_ms is not None else None


def _word(result: Result | None) -> str:
    """What became of a call, in a word for the log."""
    if isinstance(result, Outcome):
        return "ok" if result.text.startswith('"result"') else "refused"
    return result.code if isinstance(result, RemoteError) else "InternalError"
