"""One relay's work while it lasts: where to go on, what is decided, the copying itself, and keeping house."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from redis.exceptions import RedisError

from rpc_client.record import BEGINNING, LAST_N, Place
from worker.crash_points import reached
from worker.events import event_texts
from worker.stream import Seen, Stream

if TYPE_CHECKING:
    from worker.connections import Connection
    from worker.database import Row
    from worker.settings import WorkerSettings
    from worker.statements import Statement

FIRST_RECEIPTS, RECEIPTS = 64, 1000
"""How many receipts are read at once: at first, and at most."""
BYTES, EVENTS = 1 << 20, 2000
"""How much is appended at once, about, unless a single receipt holds more."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.005, 0.25
KEEP_S = 1.0
TRIM_S = 60.0
LAG_S = 5.0
"""How long events may wait before anybody needs to know."""
REMIND_S = 30.0

log = structlog.get_logger("rowcall.relay")


class MovedOnError(Exception):
    """The stream is not as it was left: somebody else appended to it, or it is gone."""


class HaltedError(Exception):
    """The stream is not this database's, or of a later state of it: nothing may be copied before somebody decides."""


@dataclass(slots=True)
class Watch:
    """What was said of the relay's troubles: each once, or now and then."""

    in_trouble: bool = False
    reminded_at: float = float("-inf")

    def away(self, error: Exception) -> None:
        """Redis or the database does not do what it should; said once, until it does again."""
        if not self.in_trouble:
            log.warning("events are not recorded for now; they are in their receipts", error=repr(error))
        self.in_trouble = True

    def well(self) -> None:
        """It does again."""
        if self.in_trouble:
            log.info("events are recorded again")
        self.in_trouble = False

    def due(self) -> bool:
        """Whether it is time to say again what is wrong."""
        if time.monotonic() - self.reminded_at < REMIND_S:
            return False
        self.reminded_at = time.monotonic()
        return True


@dataclass(slots=True)
class Copying:
    """How far one relay has come, and how it goes on. Raises MovedOnError, HaltedError, RedisError, the database's."""

    settings: WorkerSettings
    statements: Mapping[str, Statement]
    connection: Connection
    stream: Stream
    watch: Watch
    generation: str = ""
    end: Place = BEGINNING
    """The stream's last entry."""
    seq: int = 0
    """Every number up to it is in the stream, or was rolled back."""
    receipts: int = FIRST_RECEIPTS
    kept: int = 0
    kept_at: float = float("-inf")
    trimmed_at: float = field(default_factory=time.monotonic)
    since_trim: int = 0

    async def _row(self, name: str, **values: object) -> Row | None:
        statement = self.statements[f"rowcall.{name}"]
        return await self.connection.fetchrow(statement.sql, *statement.bind(values))

    async def find_place(self) -> None:
        """Where to go on: after the stream's last entry, or, where there is none, with what can be rebuilt."""
        seen = await self.stream.look()
        known = await self._row(
            "find_record", newest=seen.end.seq
        )  # after the look, so that the stream cannot seem to be ahead
        assert known is not None, "a migration wrote the row"
        self._check(seen, known)
        trimmed, start = seen.trimmed if seen.generation else seen.first, seen.end.seq
        if seen.end == BEGINNING:
            trimmed = await self._newest_left_out()
            start = trimmed.seq
        if start < known["forgotten"]:
            trimmed = max(trimmed, Place(known["forgotten"], LAST_N))
        facts = {"trimmed": trimmed, "begun": uuid4().hex}
        facts |= {name: known[name] for name in ("generation", "history", "horizon")}
        if not await self.stream.begin(seen, facts):
            raise MovedOnError
        self.generation, self.end, self.seq = known["generation"], seen.end, start
        await self._keep_position()

    def _check(self, seen: Seen, known: Row) -> None:
        """HaltedError unless the stream is this database's."""
        if seen.generation not in {"", known["generation"]}:
            of = f"of generation {seen.generation}, the database of {known['generation']}"
            raise HaltedError(f"the stream in Redis is {of}")
        if seen.end.seq > known["horizon"]:
            raise HaltedError(
                f"the stream in Redis ends at {seen.end}, the database's last event at {known['horizon']}"
            )
        # The database may have gone back and come this far again: then another call has the number of the last entry.
        # Or none has: after a restore the sequence may stand ahead of the receipts, for PostgreSQL logs it in advance.
        forgotten = known["request_id"] is None and seen.end.seq <= known["forgotten"]
        if seen.request_id not in {None, known["request_id"]} and not forgotten:
            held = "no" if known["request_id"] is None else "another"
            raise HaltedError(f"the database has {held} receipt for the event at {seen.end} in Redis")

    async def _newest_left_out(self) -> Place:
        """The newest event that does not fit into a record that is built anew."""
        row = await self._row("find_rebuild", entries=self.settings.event_entries)
        return BEGINNING if row is None else Place(row["seq"], row["n"])

    async def halt(self, why: str) -> None:
        """Copy nothing, and say so where every worker's /ready sees it."""
        await self._row("halt_relay", why=why)
        if self.watch.due():
            log.error("events are not recorded: the stream is not this database's", why=why, see="docs/events.md")

    async def copy(self) -> bool:
        """Copy what was drawn since the last time. Whether anything was."""
        noted = await self._row("note_horizon", known=self.seq)
        assert noted is not None, "a sequence is a row"
        if noted["xid"] is None:
            return False
        full = True
        while full:
            rows = await self._read(noted["horizon"], noted["xid"])
            full = len(rows) == self.receipts
            if rows:
                reached("K10")
                await self._append(rows)
        self.seq = noted["horizon"]
        return True

    async def _read(self, horizon: int, xid: str) -> Sequence[Row]:
        """The next receipts with events, once it is decided which there are."""
        statement = self.statements["rowcall.read_events"]
        values = {"after": self.seq, "horizon": horizon, "xid": xid, "receipts": self.receipts}
        pause, since = FIRST_PAUSE_S, time.monotonic()
        while True:
            rows = await self.connection.fetch(statement.sql, *statement.bind(values))
            if rows[0]["decided"]:
                return [] if rows[0]["seq"] is None else rows
            if (behind_s := time.monotonic() - since) > LAG_S and self.watch.due():
                await self._tell_what_is_open(behind_s)
            await self.keep_house()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _tell_what_is_open(self, behind_s: float) -> None:
        row = await self._row("find_oldest_transaction")
        log.warning(
            "events are not recorded: an older transaction is open",
            behind_s=round(behind_s, 1),
            **({} if row is None else dict(row)),
        )

    async def _append(self, rows: Sequence[Row]) -> None:
        """Append the events of these receipts, and read fewer next time where they are large or Redis is slow."""
        try:
            for seq, ids, texts in portions(rows):
                await self._send(seq, ids, texts)
        except RedisError:
            self.receipts = max(1, self.receipts // 2)
            raise
        fitting = BYTES * len(rows) // (sum(len(row["events"]) for row in rows) + 1)
        self.receipts = max(1, min(RECEIPTS, self.receipts * 4, fitting))

    async def _send(self, seq: int, ids: Sequence[str], texts: Sequence[str]) -> None:
        """Append these events, the last there are up to this number."""
        if ids and not await self.stream.append(self.end, self.generation, ids, texts):
            raise MovedOnError
        reached("K11")
        self.end = Place.read(ids[-1]) if ids else self.end
        self.seq = seq
        self.since_trim += len(ids)
        await self.keep_house()

    async def keep_house(self) -> None:
        """Now and then: note how far it came, see that the stream is still there, remove what nobody keeps any more."""
        now = time.monotonic()
        if now - self.kept_at < KEEP_S:
            return
        if self.seq != self.kept:
            await self._keep_position()
        self.kept_at = now
        seen = await self.stream.look()
        if (seen.generation, seen.end) != (self.generation, self.end):
            raise MovedOnError
        if now - self.trimmed_at > TRIM_S or self.since_trim * 10 > self.settings.event_entries:
            await self._trim()

    async def make_room(self) -> None:
        """Remove what nobody keeps any more, if Redis does that much; where it is full, nothing else helps."""
        with contextlib.suppress(RedisError):
            await self._trim()

    async def _trim(self) -> None:
        held = await self._row("find_oldest_held")
        assert held is not None, "a migration wrote the row"
        await self.stream.trim(held["generation"], held["seq"])
        self.trimmed_at, self.since_trim = time.monotonic(), 0

    async def _keep_position(self) -> None:
        await self._row("keep_position", position=self.seq)
        self.kept, self.kept_at = self.seq, time.monotonic()


def portions(rows: Sequence[Row]) -> Iterator[tuple[int, list[str], list[str]]]:
    """The events of these receipts, cut between receipts: for each portion its last number, the ids and the texts."""
    seq, size = 0, 0
    ids: list[str] = []
    texts: list[str] = []
    for _, own_seq, request_id, method, at, events in rows:
        own = event_texts(request_id, method.partition(".")[0], own_seq, at, events)
        if ids and (size + len(events) > BYTES or len(ids) + len(own) > EVENTS):
            yield seq, ids, texts
            size, ids, texts = 0, [], []
        ids += [f"{own_seq}-{n}" for n in range(len(own))]
        texts += own
        seq, size = own_seq, size + len(events)
    yield seq, ids, texts


async def begin_generation(
    connection: Connection, statements: Mapping[str, Statement], stream: Stream
) -> tuple[str, list[str]]:
    """Give the record a new name and set the old stream aside; the relay then records what the database holds.

    The new name, and under which names the old stream lies. An error between the two steps leaves the relay halted;
    doing it again mends that.
    """
    generation: str = await connection.fetchval(statements["rowcall.begin_generation"].sql)
    return generation, await stream.set_aside(generation)
