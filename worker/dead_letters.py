"""Dead letters: calls that could not be answered for good, kept with why. Nothing secret is told in that."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import orjson

from worker.redaction import scrubbed

MAX_TEXT = 16 << 10
"""In bytes. Longer tracebacks lose their middle: the top says who called, the bottom what went wrong."""
MAX_BEGINNING = 1 << 10
"""Bytes that are kept of a message that cannot run for its size."""
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

    def within(self, most: int) -> DeadLetter:
        """Itself, or what is kept of it where it has more bytes than can run."""
        if len(self.body) <= most:
            return self
        why = f"{self.error}; of its bytes, too many to run, the beginning, the number and a digest are kept"
        return replace(self, body=gist(self.body), error=fit(why))

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


def gist(body: bytes) -> bytes:
    """What is kept of a message too large to run, in a line that is no call: sealed, all of it would fit nowhere."""
    begins, digest = body[:MAX_BEGINNING].decode(errors="replace"), hashlib.blake2b(body, digest_size=16)
    return orjson.dumps({"begins": begins, "bytes": len(body), "blake2b": digest.hexdigest()})


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
