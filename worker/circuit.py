"""``Circuit``: while PostgreSQL is away, a worker takes no more calls from the queues.

They lie there for whoever can run them, and no worker burns their time or their deliveries on a database that does not
answer. What is in hand goes on trying, within its own deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import structlog

if TYPE_CHECKING:
    from worker.database import Database
    from worker.statements import Statement

FAILURES = 3
WITHIN_S = 1.0
"""So many failures in this time, and no success between them, mean that it is away."""
PROBE_EVERY_S, PROBE_SELDOM_S = 0.25, 1.0
CALM_S = 10.0
"""Who pauses again so soon was wrong to go on, and looks half as often as before."""
PROBE_S = 2.0
NO_WRITES = frozenset(
    {
        "25006",  # read-only: a standby, or a primary no longer
        "53100",  # disk full
        "53200",  # out of memory
        "58030",  # input or output failed
    }
)
"""Reads may well succeed beside these."""
NO_SESSION = frozenset({"57P01", "57P02", "57P03", "53300"})

log = structlog.get_logger("rowcall.circuit")


class Pausable(Protocol):
    """What takes calls."""

    async def pause(self) -> None: ...
    async def resume(self) -> None: ...


class Circuit:
    """Watches how the database does, and opens the circuit: what takes calls pauses until a probe succeeds."""

    def __init__(self, database: Database, statements: Mapping[str, Statement], intake: Pausable) -> None:
        self._database = database
        self._probe_sql = statements["rowcall.probe"].sql
        self._intake = intake
        self._lost: deque[float] = deque(maxlen=FAILURES)
        self._refused: deque[float] = deque(maxlen=FAILURES)
        self._open = asyncio.Event()
        self._error = ""
        self._since = datetime.now(UTC)
        self._closed_at = -CALM_S
        self._every_s = PROBE_EVERY_S

    @property
    def state(self) -> str | None:
        """Why calls are not taken; None while they are."""
        if not self._open.is_set():
            return None
        return f"paused: PostgreSQL is away since {self._since.isoformat(timespec='seconds')}: {self._error}"

    def worked(self) -> None:
        """Somebody used a connection, and it was in order."""
        if self._lost:
            self._lost.clear()

    def failed(self, error: BaseException, *, lost: bool) -> None:
        """Something went wrong; `lost` says that there is no connection, or none any more."""
        state = getattr(error, "sqlstate", None) or ""
        if state in NO_WRITES:
            self._count(self._refused, error)
        elif (lost and isinstance(error, Exception)) or state in NO_SESSION or state.startswith("08"):
            self._count(self._lost, error)

    def _count(self, failures: deque[float], error: BaseException) -> None:
        now = time.monotonic()
        failures.append(now)
        if len(failures) == FAILURES and now - failures[0] <= WITHIN_S and not self._open.is_set():
            self._since, self._error = datetime.now(UTC), _words(error)
            self._open.set()

    async def run(self) -> None:
        """Pause and go on as the database does, until cancelled."""
        while True:
            await self._open.wait()
            log.warning("consuming pauses: PostgreSQL is away", error=self._error)
            await self._intake.pause()
            await self._until_back()
            log.info("consuming again: PostgreSQL is back", error=self._error, since=self._since.isoformat())
            self._open.clear()
            self._lost.clear()
            self._refused.clear()
            self._closed_at = time.monotonic()
            await self._intake.resume()

    async def _until_back(self) -> None:
        soon = time.monotonic() - self._closed_at < CALM_S
        self._every_s = min(self._every_s * 2, PROBE_SELDOM_S) if soon else PROBE_EVERY_S
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self._database.probe(self._probe_sql, PROBE_S)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is away
                self._error = _words(error)
            else:
                return


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
