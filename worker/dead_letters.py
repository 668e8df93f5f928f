"""Dead letters: calls that could not be answered for good, kept with why."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_TEXT = 16 << 10
"""Longer tracebacks lose their middle: the top says who called, the bottom what went wrong."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The bytes of one call, or of a message nobody could read, and the reason it lies here."""

    body: bytes
    reason: str
    """``malformed``, ``internal`` or ``exhausted``."""
    error: str
    traceback: str = ""
    attempts: int = 1

    def headers(self, *, first_at: datetime, worker: str) -> dict[str, str | int]:
        """The reason as AMQP headers."""
        return {
            "x-rowcall-reason": self.reason,
            "x-rowcall-error": _shortened(self.error),
            "x-rowcall-traceback": _shortened(self.traceback),
            "x-rowcall-attempts": self.attempts,
            "x-rowcall-first-at": first_at.isoformat(),
            "x-rowcall-last-at": datetime.now(UTC).isoformat(),
            "x-rowcall-worker": worker,
        }


def malformed(body: bytes, error: str) -> DeadLetter:
    """A message that could not be answered, because nobody could be told."""
    return DeadLetter(body, "malformed", error)


def internal(body: bytes, error: BaseException) -> DeadLetter:
    """A call that met a bug."""
    text = "".join(traceback.format_exception(error))
    return DeadLetter(body, "internal", f"{type(error).__name__}: {error}", text)


def exhausted(body: bytes, error: BaseException) -> DeadLetter:
    """A write of which nobody could learn in time whether it ran; replaying it settles that."""
    return DeadLetter(body, "exhausted", str(error))


def _shortened(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return text
    half = MAX_TEXT // 2
    return f"{text[:half]}\n… {len(text) - MAX_TEXT} characters left out …\n{text[-half:]}"
