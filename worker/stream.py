"""The Redis side of the record: one stream and what there is to know of it, changed only by comparing first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import redis.asyncio as redis
from pydantic_core import from_json
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from rpc_client.record import Place
from rpc_client.wire import Names

if TYPE_CHECKING:
    from worker.settings import WorkerSettings

TIMEOUT_S = 2.0
TRIMMED_AT_ONCE, READ_AT_ONCE = 10_000, 50
"""How many entries a script removes, about, and of how many it learns the ids, which reads them whole: Redis does
nothing else while it runs."""

_END = """
local function ending(key)
    if redis.call('EXISTS', key) == 0 then return '0-0' end
    local about = redis.call('XINFO', 'STREAM', key)
    for i = 1, #about, 2 do
        if about[i] == 'last-generated-id' then return about[i + 1] end
    end
end
local known = redis.call('HGET', KEYS[2], 'generation') or ''
"""
_LOOK = f"""{_END}
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
return {{
    known, ending(KEYS[1]), redis.call('HGET', KEYS[2], 'trimmed') or '0-0', first[1] and first[1][1] or '0-0',
    last[1] and last[1][2][2] or '{{}}'
}}
"""
_BEGIN = f"""{_END}
if ending(KEYS[1]) ~= ARGV[1] or known ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
return 1
"""
_APPEND = f"""{_END}
if ending(KEYS[1]) ~= ARGV[1] or known ~= ARGV[2] then return 0 end
local n = 3
for id in string.gmatch(ARGV[3], '%S+') do
    n = n + 1
    redis.call('XADD', KEYS[1], id, 'event', ARGV[n])
end
return 1
"""
# Redis itself does not remember what XTRIM removed; a reader has to know it. The mark comes after a removal, for
# only so a full Redis takes it; it may be ahead of what is gone until the last script has run.
_TRIM = f"""{_END}
if known ~= ARGV[1] then return 0 end
local newest = redis.call('XREVRANGE', KEYS[1], '(' .. ARGV[2], '-', 'COUNT', 1)[1]
local gone = 0
if newest then
    gone = redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[2], 'LIMIT', ARGV[4])
    if gone == 0 then gone = redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2]) end
else
    local length = redis.call('XLEN', KEYS[1])
    local over = math.min(length - tonumber(ARGV[3]), tonumber(ARGV[5]))
    if over <= 0 then return 0 end
    local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', over)
    newest = oldest[#oldest]
    gone = redis.call('XTRIM', KEYS[1], 'MAXLEN', length - over)
end
redis.call('HSET', KEYS[2], 'trimmed', newest[1])
return gone
"""
_SET_ASIDE = f"""{_END}
local aside = {{}}
for i = 1, 2 do
    if redis.call('EXISTS', KEYS[i]) == 1 then
        redis.call('RENAME', KEYS[i], KEYS[i + 2])
        aside[#aside + 1] = KEYS[i + 2]
    end
end
redis.call('HSET', KEYS[2], 'generation', ARGV[1])
return aside
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """The stream as it was found."""

    generation: str
    """Empty where nothing is known of the stream."""
    end: Place
    """The last entry there ever was; `BEGINNING` where there is no stream."""
    trimmed: Place
    """The newest entry that was removed."""
    first: Place
    request_id: str | None
    """Whose event the last entry is; None where there is none, or none that can be read."""


def open_redis(settings: WorkerSettings, **options: Any) -> redis.Redis:
    """A client that tries once: what is sent again after a lost answer would be done twice."""
    client: redis.Redis = redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        **options,
    )
    return client


class Stream:
    """The record's stream. Every method raises RedisError when Redis does not do it; it may have, all the same."""

    def __init__(self, settings: WorkerSettings) -> None:
        names = Names(settings.prefix)
        self._keys = [names.events, names.about_events]
        self._entries = settings.event_entries
        self._redis = open_redis(settings, decode_responses=True)
        scripts = (_LOOK, _BEGIN, _APPEND, _TRIM, _SET_ASIDE)
        self._look, self._begin, self._append, self._trim, self._set_aside = map(self._redis.register_script, scripts)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def look(self) -> Seen:
        """What is there."""
        generation, end, trimmed, first, last = await self._look(keys=self._keys)
        return Seen(generation, Place.read(end), Place.read(trimmed), Place.read(first), _request_id(last))

    async def begin(self, seen: Seen, facts: Mapping[str, object]) -> bool:
        """Note these facts of a stream that still is as it was seen. Whether it was."""
        words = [str(word) for fact in facts.items() for word in fact]
        return bool(await self._begin(keys=self._keys, args=[str(seen.end), seen.generation, *words]))

    async def append(self, end: Place, generation: str, ids: Sequence[str], texts: Sequence[str]) -> bool:
        """Append these events if the stream still ends there, all of them or none. Whether it did."""
        # All ids are one argument: each argument costs as much as reading an event.
        args = [str(end), generation, " ".join(ids), *texts]
        return bool(await self._append(keys=self._keys, args=args))

    async def trim(self, generation: str, held: int) -> None:
        """Remove what is older than this number, and what is too much, and remember the newest that went."""
        args: list[str | int] = [generation, str(Place(held, 0)), self._entries, TRIMMED_AT_ONCE, READ_AT_ONCE]
        while await self._trim(keys=self._keys, args=args):
            pass

    async def set_aside(self, generation: str) -> list[str]:
        """Rename what there is, and keep the place for this generation. The new names."""
        aside = _aside(self._keys, generation)
        names: list[str] = await self._set_aside(keys=[*self._keys, *aside], args=[generation])
        return names


def _request_id(event: str) -> str | None:
    try:
        fields = from_json(event)
    except ValueError:  # whatever stands in an event, the relay goes on
        return None
    return fields.get("request_id") if isinstance(fields, dict) else None


def _aside(keys: Sequence[str], generation: str) -> list[str]:
    """Under which names lies what was there before this generation."""
    return [f"{key}:before-{generation}" for key in keys]


async def delete(settings: WorkerSettings) -> None:
    """Delete this prefix's record, each of its keys by its name, and those set aside. For demos and tests."""
    names = Names(settings.prefix)
    keys = found = [names.events, names.about_events]
    async with open_redis(settings, decode_responses=True) as client:
        while (generation := await client.hget(found[1], "generation")) is not None:
            found = _aside(keys[:2], str(generation))
            keys = [*keys, *found]
        await client.delete(*keys)
