"""What clients ask more for, so that a bug has occasions. None of it is one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import repeat

from tests.chaos import workload
from tests.chaos.calling import Caller
from tests.chaos.history import Call
from tests.chaos.workload import Asked, Workload, _marked

NOTE, CLAIM, OFFER, OVERRUN = (partial(_marked, f"chaos.{name}") for name in ("note", "claim", "offer", "overrun"))
LATER_S = 8.0
"""The five seconds that they take, and three for them to begin."""
FEW = workload.ACCOUNTS[:2]
MOST = 60_000
"""Cents: as much as an account holds."""


def many_sends() -> None:
    """Most writes are handed to the broker, and nobody waits for them."""
    _often(lambda self: [self._one(NOTE, kind="send", sent=True)])


def many_notes() -> None:
    """Most calls are one statement: then most of what the database answers is that a write has committed."""
    _often(lambda self: [self._one(NOTE)])


def slow_sends() -> None:
    """More is sent than a worker can do, so that calls wait in the queue."""
    _often(lambda self: [self._one(_linger, kind="send", sent=True)])


def many_claims() -> None:
    """Many claim at the same moment."""
    _often(lambda self: [self._one(maker) for maker in (*repeat(CLAIM, 5), *repeat(OFFER, 5))])


def few_accounts() -> None:
    """Everybody pays into the same two accounts."""
    Workload._account = lambda self: self._rng.choice(FEW)
    _often(lambda self: [self._one(self._rng.choice([self._deposit, self._withdraw, self._transfer]))])


def poor_accounts() -> None:
    """Everybody takes from the same two accounts, and more than they hold."""
    few_accounts()
    Workload._amount = lambda self: self._rng.randint(1, MOST)


def many_batches() -> None:
    """Most payments are issued several at once."""
    _often(lambda self: [self._one(self._deposit, kind="batch") for _ in range(5)])


def patient_overruns() -> None:
    """More calls take longer than anybody waits, and only when they may have ended is it asked what became of them.

    Else it would be forbidden that they run, or they would be sent again, with a later deadline.
    """
    _often(lambda self: [self._one(OVERRUN)], share=0.02)
    settle = Caller._settle

    async def ask_later(self: Caller, call: Call, attempt: int) -> None:
        if call.method != "chaos.overrun":
            await settle(self, call, attempt)
            return
        await self._wait(LATER_S)
        while not await self._outcome(call, fence=True):
            await self._pause()

    Caller._settle = ask_later


def _linger(mark: str) -> Asked:
    return "chaos.linger", {"mark": mark, "ms": 300}


def _often(favourite: Callable[[Workload], list[Call]], share: float = 0.6) -> None:
    draw = Workload.draw

    def drawn(self: Workload) -> list[Call]:
        return favourite(self) if self._rng.random() < share else draw(self)

    Workload.draw = drawn
