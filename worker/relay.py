"""The relay: copies committed events from receipts to the record in Redis. One works, those of other workers stand by.

A receipt's number is drawn after the row locks of its effect, so numbers order the events of each aggregate; but they
become visible out of order. So the relay notes the last number drawn, then takes a transaction id of its own; once
every older transaction has ended, each number up to the noted one is visible or was rolled back, and what is there is
copied. How far it came is written nowhere but in the stream's last entry, which every append compares first: nothing is
copied twice, and two relays at once, or one that wakes after an hour, do no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from worker.connections import Connection, direct_connection
from worker.copying import LAG_S, Copying, HaltedError, MovedOnError, Watch
from worker.database import Database
from worker.stream import Stream

if TYPE_CHECKING:
    from worker.settings import WorkerSettings
    from worker.statements import Statement

STATEMENT_S = 30.0
FROZEN_S = 10
"""PostgreSQL ends the session of a relay that says nothing for so long, and another takes over."""
STAND_BY_S = 1.0
CYCLE_S = 0.04
"""While events flow they are copied this often: together they are cheaper."""
IDLE_S = 0.25
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.5
PROBE_S = 2.0
DAY_S = 86_400

log = structlog.get_logger("rowcall.relay")


class Relay:
    """Works while `run` runs, whenever no other does. Whatever happens to it, calls go on."""

    def __init__(self, settings: WorkerSettings, statements: Mapping[str, Statement]) -> None:
        self._settings = settings
        self._statements = statements
        self._committed = asyncio.Event()
        self._watch = Watch()

    def wake(self) -> None:
        """Something was committed here, so there is something to copy."""
        self._committed.set()

    async def run(self) -> None:
        """Copy what commits, until cancelled."""
        while True:
            try:
                async with self._session() as connection, Stream(self._settings) as stream:
                    await self._wait_for_turn(connection)
                    await self._lead(Copying(self._settings, self._statements, connection, stream, self._watch))
            except Exception as error:  # noqa: BLE001 - calls go on without it, so it tries again
                self._watch.away(error)
                await asyncio.sleep(STAND_BY_S * random.uniform(0.5, 1.5))  # noqa: S311

    def _session(self) -> contextlib.AbstractAsyncContextManager[Connection]:
        return direct_connection(
            self._settings,
            "rowcall relay",
            statement_s=STATEMENT_S,
            idle_session_timeout=f"{FROZEN_S}s",
            lock_timeout=f"{self._settings.lock_s}s",
            synchronous_commit="off",  # what it writes, it could find out again
        )

    async def _wait_for_turn(self, connection: Connection) -> None:
        lock, key = self._statements["rowcall.try_lock_session"].sql, f"{self._settings.prefix}:relay"
        while not await connection.fetchval(lock, key):  # noqa: ASYNC110 - it ends in another process
            await asyncio.sleep(STAND_BY_S)
        log.info("this worker records the events")

    async def _lead(self, copying: Copying) -> None:
        """Copy for as long as the database session lasts; what Redis does not do now, it will do later."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                await copying.find_place()
                await self._follow(copying)
            except MovedOnError:
                continue
            except HaltedError as why:
                await copying.halt(str(why))
            except RedisError as error:
                pause = pause if self._watch.in_trouble else FIRST_PAUSE_S
                self._watch.away(error)
                await copying.make_room()  # and PostgreSQL hears that the session is alive
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _follow(self, copying: Copying) -> None:
        """Copy whatever commits: at once after a rest, many times a second while much does."""
        pause = CYCLE_S
        while True:
            self._committed.clear()
            some = await copying.copy()
            self._watch.well()
            if some:
                pause = CYCLE_S
                await asyncio.sleep(CYCLE_S)
            else:
                await self._rest(pause)
                pause = min(pause * 2, IDLE_S)
            await copying.keep_house()

    async def _rest(self, pause: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._committed.wait()

    async def state(self, database: Database) -> tuple[str, bool]:
        """How the record is doing, for people, and whether that is bearable. Every worker knows, whoever copies."""
        found = self._statements["rowcall.find_lag"]
        try:
            (row,) = await database.fetch(found.sql, [()], timeout_s=PROBE_S)
        except Exception as error:  # noqa: BLE001 - the database has a line of its own, which says it is away
            return f"unknown: {type(error).__name__}", True
        if row["halted"] is not None:
            return row["halted"], False
        lag_s = row["lag_s"] or 0.0
        text = "up" if lag_s < LAG_S else f"{lag_s:.1f} s behind"
        return text, lag_s <= self._settings.retention_days * DAY_S / 2
