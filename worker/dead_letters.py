"""Dead letters: calls that could not be answered for good, kept with why. Nothing secret is told in that."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from worker.redaction import scrubbed

MAX_TEXT = 16 << 10
"""In bytes. Longer tracebacks lose their middle: the top says who called, the bottom what went wrong."""
REASONS = frozenset({"malformed", "internal", "poison", "exhausted", "expired"})


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The bytes of one call, or of a message nobody could read, and the reason it lies here."""

    body: bytes
    reason: str
    """``malformed``: nobody could be told that it cannot run. ``internal``: a bug. ``exhausted``: infrastructure stayed
    away. ``expired``: its time was up. ``poison``: its workers died of it."""
    error: str
    traceback: str = ""
    id: str | None = None
    """The call's request id, where it had one."""
    attempts: int = 1

    def headers(self, *, first_at: datetime, worker: str) -> dict[str, str | int]:
        """The reason as AMQP headers."""
        return {
            "x-rowcall-reason": self.reason,
            "x-rowcall-error": self.error,
            "x-rowcall-traceback": self.traceback,
            "x-rowcall-attempts": self.attempts,
            "x-rowcall-first-at": first_at.isoformat(),
            "x-rowcall-last-at": datetime.now(UTC).isoformat(),
            "x-rowcall-worker": worker,
            **({} if self.id is None else {"x-rowcall-id": self.id}),
        }


def error_text(error: BaseException, secrets: Sequence[str] = ()) -> str:
    """An error in one line, its class first."""
    return fit(f"{type(error).__name__}: {scrubbed(str(error), secrets)}")


def traceback_text(error: BaseException, secrets: Sequence[str] = ()) -> str:
    """Where an error came from, as Python prints it."""
    return fit(scrubbed("".join(traceback.format_exception(error)), secrets))


def fit(text: str, most: int = MAX_TEXT) -> str:
    """As much of a text as is kept, without what PostgreSQL or the broker cannot hold."""
    data = text.replace("\0", "\N{SYMBOL FOR NULL}").encode(errors="replace")
    if len(data) <= most:
        return data.decode()
    half = most // 2
    start, end = data[:half].decode(errors="ignore"), data[-half:].decode(errors="ignore")
    return f"{start}\n… {len(data) - most} bytes left out …\n{end}"
