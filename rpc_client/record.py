"""Reads the record of events: a Redis stream that a worker's relay writes, and a hash of what is known of it."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self, TypeVar

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, MasterDownError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from rpc_client.settings import ClientSettings
from rpc_client.tasks import heeding
from rpc_client.wire import Names

PAGE = 500
"""How many entries are read at once, at most: fewer once they did not come in time."""
BLOCK_S = 2.0
"""For how long Redis is asked to wait for the next event; longer than the driver waits, and it would call it lost."""
TIMEOUT_S = BLOCK_S + 3
UNWRITTEN_S = 0.2
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
LAST_N = (1 << 32) - 1
"""Greater than the place of any event in its receipt."""

_CURSOR = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(\d{1,18})-(\d{1,18})")

T = TypeVar("T")
Entries = list[tuple[str, dict[str, str]]]

log = logging.getLogger("rowcall.record")


class Place(NamedTuple):
    """Where an event stands in the record: its receipt's number, and its place in that receipt."""

    seq: int
    n: int

    def __str__(self) -> str:
        return f"{self.seq}-{self.n}"

    @classmethod
    def read(cls, text: str) -> Self:
        """The id of an entry."""
        seq, _, n = text.partition("-")
        return cls(int(seq), int(n))


BEGINNING = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Gap:
    """Events between two places of the record may never be read: they went before they were asked for."""

    reason: Literal["trimmed", "generation", "unreadable"]
    """`trimmed`: the record keeps only so many, and only so long. `generation`: the record began anew, or its database
    went back; all that it holds comes, also what was read before. `unreadable`: one event is not as events should be.
    """
    after: str
    """The cursor up to which nothing is missing; of an `unreadable` event its own, to go on after it."""
    before: str | None
    """The cursor of the event that comes next; None while there is none."""


@dataclass(frozen=True, slots=True)
class About:
    """What there is to know of the stream."""

    generation: str | None
    """None: nobody has begun it."""
    trimmed: Place
    """The newest entry that was removed."""
    history: int
    """What has a number up to it was recorded before, in a stream that is gone."""
    horizon: int
    """The last number that was drawn when a relay last found its place."""
    begun: str | None
    """Names that moment."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event, as JSON."""

    cursor: str
    text: str


class Reader:
    """Reads on from one place, and knows what was lost on the way. Made without any I/O.

    ValueError where `from_` is no place.
    """

    def __init__(self, settings: ClientSettings, from_: str) -> None:
        names = Names(settings.prefix)
        self._stream, self._about = names.events, names.about_events
        self._generation: str | None = None
        self._place: Place | None = None
        """After which to read; None for now, before it is known where that is."""
        self._judged = BEGINNING
        """What was removed up to there has been told, or never mattered."""
        self._begun: str | None = None
        """Up to which finding of a place it is known that the database had come as far as what was read."""
        self._count = PAGE
        if from_ == "beginning":
            self._place = BEGINNING
        elif from_ != "now":
            self._generation, self._place = _read_cursor(from_)
        self.redis: redis.Redis = redis.from_url(
            settings.redis_url.get_secret_value(),
            decode_responses=True,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )

    async def start(self) -> None:
        """Find out where now is. Waits while Redis is away."""
        about, entries = await self._patiently(lambda: self._look(self._place))
        if self._place is None and about.generation is not None:
            self._adopt(about, [Place.read(name) for name, _ in entries])

    async def items(self, *, follow: bool) -> AsyncGenerator[Entry | Gap]:
        """Everything from there on, in order and once; without `follow`, up to where the record ends."""
        while True:
            found = await self._patiently(self._page)
            for item in found:
                yield item
            if not found and not follow:
                return
            if not found:
                await self._patiently(self._wait)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do this, however long Redis is away. Raises what waiting cannot mend."""
        pause, told = FIRST_PAUSE_S, False
        while True:
            try:
                with heeding():
                    return await work()
            except AuthenticationError:
                raise
            except (RedisConnectionError, RedisTimeoutError, ResponseError) as error:
                if not _passes(error):
                    raise
                if isinstance(error, RedisTimeoutError):
                    self._count = max(1, self._count // 2)
                if not told:
                    log.warning("the record of events cannot be read, trying again: %r", error)
                told = True
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _look(self, after: Place | None) -> tuple[About, Entries]:
        """What there is to know, and the next entries after a place, or else the newest: both of the same moment."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.hmget(self._about, ["generation", "trimmed", "history", "horizon", "begun"])
            if after is None:
                pipe.xrevrange(self._stream, count=1)
            else:
                pipe.xrange(self._stream, min=f"({after}", count=self._count)
            (generation, trimmed, history, horizon, begun), entries = await pipe.execute()
        return About(generation, Place.read(trimmed or "0-0"), int(history or 0), int(horizon or 0), begun), entries

    async def _page(self) -> list[Entry | Gap]:
        """What comes next: entries, and before them what is missing."""
        about, entries = await self._look(self._place)
        if about.generation is None:
            return []  # nobody has begun it, or it was lost and is not rebuilt yet
        if self._generation is None or self._place is None:
            self._adopt(about, [])
            return await self._page()
        after, reason = self._cursor(str(self._place)), await self._missing(about, entries)
        if reason == "generation":
            about, entries = await self._look(BEGINNING)  # should this fail, the gap is still to be told
            if about.generation is None:
                return []
            self._generation, self._place = about.generation, BEGINNING
        found: list[Entry | Gap] = [Entry(self._cursor(name), fields["event"]) for name, fields in entries]
        if entries:
            self._place = Place.read(entries[-1][0])
            self._count = min(PAGE, self._count + self._count // 8 + 1)  # a little: growing too far costs a time-out
        self._begun = about.begun
        if reason is not None:
            self._judged = about.trimmed
            found.insert(0, Gap(reason, after, self._cursor(entries[0][0]) if entries else None))
        return found

    def _adopt(self, about: About, newest: Sequence[Place]) -> None:
        """Take the record as it is found: what went before belongs to the past."""
        self._generation, self._judged, self._begun = about.generation, about.trimmed, about.begun
        if self._place is None:
            self._place = max([*newest, about.trimmed, Place(about.history, LAST_N if about.history else 0)])

    async def _missing(self, about: About, entries: Entries) -> Literal["trimmed", "generation"] | None:
        assert self._place is not None
        if about.generation != self._generation or await self._went_back(about, self._place, entries):
            return "generation"
        return "trimmed" if about.trimmed > max(self._place, self._judged) else None

    async def _went_back(self, about: About, place: Place, entries: Entries) -> bool:
        """Whether the database, since this place was read, went back to a state that had not come so far."""
        if about.begun == self._begun or place.seq <= about.horizon:
            return False
        if self._begun is not None or entries:
            return self._begun is not None
        # A cursor from elsewhere may have been read after the relay found its place.
        about, newest = await self._look(None)
        return place > max(about.trimmed, Place(about.horizon, LAST_N), *(Place.read(name) for name, _ in newest))

    def _cursor(self, name: str) -> str:
        return f"{self._generation}:{name}"

    async def _wait(self) -> None:
        """Until there may be more. A record that nobody has begun, Redis cannot wait for."""
        if self._generation is None or not await self.redis.exists(self._about):
            await asyncio.sleep(UNWRITTEN_S)
        else:
            await self.redis.xread({self._stream: str(self._place)}, count=1, block=int(BLOCK_S * 1000))


def _passes(error: RedisError) -> bool:
    """Whether Redis, or who is the master of it, will be there again. A fail-over ends what it is waited for with."""
    if not isinstance(error, ResponseError):
        return True
    words = str(error)  # in a pipeline there are others before
    return isinstance(error, MasterDownError | ReadOnlyError) or "UNBLOCKED " in words or "BUSY Redis" in words


def _read_cursor(text: str) -> tuple[str, Place]:
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is no place in the record of events: say 'now', 'beginning', or the cursor of an event,"
            " which is <generation>:<seq>-<n>"
        )
    return found[1], Place(int(found[2]), int(found[3]))
