"""Announces what committed: after the commit, pipelined, and never in a caller's way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

import orjson
import structlog
from redis.exceptions import RedisError

from rpc_client.wire import Names
from worker.stream import TIMEOUT_S, open_redis

if TYPE_CHECKING:
    from worker.calls import Call, Outcome
    from worker.registry import Family
    from worker.settings import WorkerSettings

BACKLOG = 10_000
BATCH = 256
PAUSE_S = 1.0

log = structlog.get_logger("rowcall.events")


class Announces(Protocol):
    """Whatever is told of committed calls: Redis in a worker, a list in a test."""

    def announce(self, call: Call, outcome: Outcome) -> None: ...


class Announcer:
    """Publishes events live. While Redis is away they are dropped here, and stay in their receipts."""

    def __init__(
        self, settings: WorkerSettings, families: Mapping[str, Family], committed: Callable[[], None] = lambda: None
    ) -> None:
        self._names = Names(settings.prefix)
        self._committed = committed
        self._families = families
        self._waiting: asyncio.Queue[tuple[Call, Outcome]] = asyncio.Queue(BACKLOG)
        self._dropped = 0
        self._redis = open_redis(settings)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="announcer")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), TIMEOUT_S)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._redis.aclose()

    def announce(self, call: Call, outcome: Outcome) -> None:
        """Take over the events of a committed call. Returns at once."""
        if outcome.events is None:
            return
        self._committed()
        try:
            self._waiting.put_nowait((call, outcome))
        except asyncio.QueueFull:
            self._dropped += 1

    async def _run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._publish(batch)
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("events were not announced live; they are in their receipts", error=repr(error))
                await asyncio.sleep(PAUSE_S)
            finally:
                for _ in batch:
                    self._waiting.task_done()
            if self._dropped:
                log.warning("events were not announced live: Redis cannot keep up", dropped=self._dropped)
                self._dropped = 0

    async def _publish(self, batch: list[tuple[Call, Outcome]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for call, outcome in batch:
                family = self._families[call.answer.method.owner.name]
                for channel, payload in messages(self._names, family, call, outcome):
                    pipe.publish(channel, payload)
            await pipe.execute()


def messages(names: Names, family: Family, call: Call, outcome: Outcome) -> Iterator[tuple[str, bytes]]:
    """What a committed call announces: channel and payload, for each of its events and each way of telling it."""
    result = orjson.loads("{" + outcome.text).get("result") if family.live else None
    for text in _texts(call, outcome):
        event = orjson.loads(text)
        yield names.channel(event["family"], event["aggregate"], event["aggregate_id"]), text.encode()
        if family.live is not None:
            yield from family.live(event, result)


def complete_events(call: Call, outcome: Outcome) -> list[dict[str, Any]]:
    """A committed call's events as they are told: with id, family, sequence number, time and request id."""
    return [orjson.loads(text) for text in _texts(call, outcome)]


def _texts(call: Call, outcome: Outcome) -> list[str]:
    assert outcome.events is not None
    assert outcome.seq is not None
    assert outcome.at is not None
    family = call.answer.method.owner.name
    return event_texts(call.id, family, outcome.seq, f'"{outcome.at.isoformat()}"', outcome.events)


def event_texts(request_id: str, family: str, seq: int, time: str, events: str) -> list[str]:
    """A receipt's events as they are told, live and in the record: the JSON of each.

    Taken apart and put together as text, for nearly always it is one, and reading it costs more than all the rest.

    Args:
        time: JSON too.
        events: as PostgreSQL writes a jsonb array of objects.
    """
    alone = events.startswith("[{") and "}, {" not in events
    bodies = [events[1:-2]] if alone else [orjson.dumps(event)[:-1].decode() for event in orjson.loads(events)]
    shared = f'"family":"{family}","seq":{seq},"time":{time},"request_id":"{request_id}"}}'
    return [f'{body},"id":"{request_id}/{n}",{shared}' for n, body in enumerate(bodies)]
