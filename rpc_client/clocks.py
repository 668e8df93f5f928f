"""Whose clock counts. Deadlines travel as moments, and the clocks of two machines may differ by any amount.

One clock is the measure of all others: the database's. Each worker compares its own with that one, and a client whose
call came too late, though it has time left, learns from the answer how late it is there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpc_client.parcels import Pending
    from rpc_client.wire import Reply

NOW = "now"
"""The detail of DeadlineExceeded that tells the time by the clock that counts, in milliseconds since 1970."""
NOTICED_S = 0.1
"""What is less may be the way's time, and sending a call again would gain it nothing."""


def apart_s(told: float, asked_at: float, heard_at: float) -> float:
    """How far ahead of ours a clock is that showed `told` at some moment between these two of ours.

    The least that explains what it showed: of clocks that may be equal it says that they are.
    """
    return max(told - heard_at, min(told - asked_at, 0.0))


class Clock:
    """How far ahead of ours the clock that counts is, as far as anybody told."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> float:
        """The time by the clock that counts."""
        return time.time() + self.ahead_s

    def compare(self, told: float, asked_at: float, heard_at: float) -> None:
        """Learn from what the other clock showed at some moment between these two of ours."""
        self.ahead_s = apart_s(told, asked_at, heard_at)

    def explains(self, reply: Reply, call: Pending) -> bool:
        """Whether a call that has time left was answered that it has none, because our clock is behind.

        It did not run then, and may go again, with its deadline by the clock that counts.
        """
        error = reply.error or {}
        details = error.get("details")
        told = details.get(NOW) if isinstance(details, Mapping) else None
        if error.get("error") != "DeadlineExceeded" or not isinstance(told, int) or call.left_s <= 0:
            return False
        heard_at = time.time()
        self.compare(told / 1000, heard_at - (time.monotonic() - call.issued_at), heard_at)
        return self.ahead_s > call.ahead_s + NOTICED_S
