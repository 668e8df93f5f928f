"""Announces what committed: after the commit, pipelined, and never in a caller's way."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

import orjson
import structlog
from pydantic_core import from_json

from rpc_client.tasks import end
from rpc_client.wire import Names
from worker.stream import TIMEOUT_S, open_redis

if TYPE_CHECKING:
    from worker.calls import Call, Outcome
    from worker.registry import Family
    from worker.settings import WorkerSettings

BACKLOG = 10_000
BATCH = 256
PAUSE_S = 1.0

_SIGN = re.compile(r'[^"\[\]{},]*+(?:"(?:[^"\\]++|\\.)*+"[^"\[\]{},]*+)*+([\[\]{},])')
"""Everything up to a bracket or comma that stands in no string."""

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
        await end(self._task)
        await self._redis.aclose()
        if not self._task.cancelled():
            self._task.result()

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
            except Exception as error:  # noqa: BLE001 - whatever it is, the next may be announced
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
                for channel, payload in self._messages(call, outcome):
                    pipe.publish(channel, payload)
            await pipe.execute()

    def _messages(self, call: Call, outcome: Outcome) -> list[tuple[str, bytes]]:
        try:
            return list(messages(self._names, self._families[call.answer.method.owner.name], call, outcome))
        except Exception:  # whatever a family wrote there: others' events are still announced
            what = {"method": call.answer.method.name, "request_id": call.id}
            log.exception("events were not announced live: they are not as events should be", **what)
            return []


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
    return [from_json(text) for text in _texts(call, outcome)]


def _texts(call: Call, outcome: Outcome) -> list[str]:
    assert outcome.events is not None
    assert outcome.seq is not None
    assert outcome.at is not None
    family = call.answer.method.owner.name
    return event_texts(call.id, family, outcome.seq, f'"{outcome.at.isoformat()}"', outcome.events)


def event_texts(request_id: str, family: str, seq: int, time: str, events: str) -> list[str]:
    """A receipt's events as they are told, live and in the record: the JSON of each.

    Taken apart and put together as text: no number changes, nothing that a family wrote there is an error, and it costs
    less than reading it. What is no object becomes an event without type and data.

    Args:
        time: JSON too.
        events: as PostgreSQL writes jsonb; an array of objects.
    """
    shared = f'"family":"{family}","seq":{seq},"time":{time},"request_id":"{request_id}"}}'
    return [f'{_open(text)}"id":"{request_id}/{n}",{shared}' for n, text in enumerate(_elements(events))]


def _open(element: str) -> str:
    """An object to which more can be added."""
    return f"{element[:-1]}," if element.startswith("{") and element != "{}" else "{"


def _elements(events: str) -> list[str]:
    """What stands in an array. Nearly always it is one object, and then there is nothing to look for."""
    if not events.startswith("["):
        return [events]
    if events.startswith("[{") and events.endswith("}]") and ", {" not in events:
        return [events[1:-1]]
    found, depth, start = list[str](), 0, 1
    for sign in _SIGN.finditer(events):
        if sign[1] in "[{":
            depth += 1
        elif sign[1] in "]}":
            depth -= 1
        elif depth == 1:
            found.append(events[start : sign.end() - 1])
            start = sign.end() + 1
    return [*found, events[start:-1]] if events != "[]" else []
