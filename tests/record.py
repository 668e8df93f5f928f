"""The record of events in tests: what should be in it, what is, a relay without a worker, a Redis of a test's own."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rpc_client.events import Event
from rpc_client.tasks import end
from rpc_client.wire import Names, encode_call
from tests.containers import OwnContainer
from worker.calls import Origin
from worker.pipeline import Pipeline
from worker.relay import Relay
from worker.served import Served
from worker.servers.port import free_port
from worker.servers.redis import Redis
from worker.settings import WorkerSettings

WRITERS = 12
ACCOUNTS = [f"a-{n}" for n in range(5)]


OPTIONS = ["--save", "", "--appendonly", "yes"]


@dataclass
class OwnRedis:
    """A Redis server of one test, which may be flushed, stopped and started again."""

    url: str
    server: OwnProcess | OwnContainer

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        await self.server.start()
        async with redis.from_url(self.url, retry=Retry(NoBackoff(), 0)) as client, asyncio.timeout(20):
            while True:
                with contextlib.suppress(redis.RedisError):
                    await client.ping()
                    return
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Kill it, as a machine that fails does."""
        await self.server.kill()


@dataclass
class OwnProcess:
    """Where `redis-server` is installed."""

    port: int
    folder: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        words = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder), *OPTIONS]
        log = self.folder / "redis.log"
        self.process = await asyncio.create_subprocess_exec(*words, "--logfile", str(log))

    async def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


@contextlib.asynccontextmanager
async def own_redis(folder: Path) -> AsyncIterator[OwnRedis]:
    """By the program where it is installed, else in a container."""
    port = free_port()
    own = OwnProcess(port, folder) if shutil.which("redis-server") else OwnContainer(Redis(), port, OPTIONS)
    server = OwnRedis(f"redis://127.0.0.1:{port}/0", own)
    try:
        await server.start()
        yield server
    finally:
        await (own.kill() if isinstance(own, OwnProcess) else own.remove())


@contextlib.asynccontextmanager
async def relaying(settings: WorkerSettings, served: Served) -> AsyncIterator[Relay]:
    """A relay in this process, without the worker around it."""
    relay = Relay(settings, served.statements)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await end(task)
        assert task.cancelled(), "it runs until then"


async def storm(pipeline: Pipeline, events: int, seed: int = 0) -> None:
    """Twelve writers on five accounts, until about so many events: groups, lone calls, stories, and what rolls back."""
    left = events

    async def send(method: str, arguments: list[dict[str, Any]]) -> None:
        nonlocal left
        lines = [encode_call(str(uuid4()), f"accounts.{method}", orjson.dumps(each), _far(), 1) for each in arguments]
        origin = Origin("tests", "tests", None, None, redelivered=False)
        answered = await pipeline.answer(b"\n".join(lines), origin, f"write.accounts.{method}")
        told = sum(b'"result"' in reply for reply in answered.replies)
        left -= told * (2 if method == "transfer" else 1)

    async def write(chance: random.Random) -> None:
        while left > 0:
            account, other = chance.sample(ACCOUNTS, 2)
            kind = chance.random()
            if kind < 0.4:
                amounts = [chance.randint(1, 50) for _ in range(chance.randint(2, 24))]
                await send("deposit", [{"account_id": chance.choice(ACCOUNTS), "amount": n} for n in amounts])
            elif kind < 0.6:
                await send("withdraw", [{"account_id": account, "amount": chance.choice([1, 10**9])}])
            elif kind < 0.7:
                await send("transfer", [{"source_id": account, "target_id": other, "amount": 10**9}])
            else:
                await send("transfer", [{"source_id": account, "target_id": other, "amount": chance.randint(1, 9)}])

    await send("open_account", [{"account_id": account, "owner": "me"} for account in ACCOUNTS])
    await asyncio.gather(*(write(random.Random(seed + n)) for n in range(WRITERS)))


def _far() -> int:
    return int((time.time() + 60) * 1000)


async def draw(connection: asyncpg.Connection, *data: object) -> int:
    """A receipt with an event for each of these, in whatever transaction is open there. Its number."""
    told = [{"type": "Told", "aggregate": "thing", "aggregate_id": "t-1", "data": {"it": it}} for it in data]
    return await connection.fetchval(
        "insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, outcome, events, seq)"
        " select '1970-01-01', gen_random_uuid(), '', 'tests.tell', '', 'infinity', '', $1::text::jsonb,"
        " nextval('rowcall.event_seq') where pg_current_xact_id() is not null returning seq",
        orjson.dumps(told).decode(),
    )


async def committed(sql: asyncpg.Connection) -> dict[str, dict[str, Any]]:
    """What should be in the record, read from the receipts in a way of its own."""
    rows = await sql.fetch(
        "select r.seq || '-' || n - 1 as place, e || jsonb_build_object('id', r.id || '/' || n - 1, 'request_id', r.id,"
        " 'family', split_part(r.method, '.', 1), 'seq', r.seq, 'time', r.at) as event"
        " from rowcall.receipts as r, jsonb_array_elements(r.events) with ordinality as x (e, n)"
        " order by r.seq, n"
    )
    return {row["place"]: _as_event(orjson.loads(row["event"])) for row in rows}


def client_of(settings: WorkerSettings) -> redis.Redis:
    """A client of its Redis that has patience."""
    return redis.from_url(settings.redis_url.get_secret_value(), decode_responses=True, socket_timeout=30)


async def recorded(settings: WorkerSettings) -> dict[str, dict[str, Any]]:
    """What is in the record, in its order. An id that stood there twice would be an error of Redis's."""
    async with client_of(settings) as client:
        entries = await client.xrange(Names(settings.prefix).events)
    assert len({place for place, _ in entries}) == len(entries)
    return {place: _as_event(orjson.loads(fields["event"])) for place, fields in entries}


def _as_event(fields: dict[str, Any]) -> dict[str, Any]:
    return Event.model_validate(fields).model_dump()


async def complete(settings: WorkerSettings, sql: asyncpg.Connection, timeout_s: float = 30) -> None:
    """Wait until the record ends with the last event that committed."""
    last = "select seq || '-' || jsonb_array_length(events) - 1 from rowcall.receipts where events is not null"
    wanted = await sql.fetchval(f"{last} order by seq desc limit 1")
    async with asyncio.timeout(timeout_s):
        while await end_of(settings) != wanted:
            await asyncio.sleep(0.02)


async def end_of(settings: WorkerSettings) -> str | None:
    """The id of the record's last entry; None where there is none, or no Redis."""
    with contextlib.suppress(RedisError):
        async with client_of(settings) as client:
            newest = await client.xrevrange(Names(settings.prefix).events, count=1)
            return newest[0][0] if newest else None
    return None


async def assert_exact(settings: WorkerSettings, sql: asyncpg.Connection) -> int:
    """The record holds exactly what committed, once, each account's in the order of its ledger. How many events."""
    should, has = await committed(sql), await recorded(settings)
    assert list(has) == list(should)
    assert has == should
    for account in ACCOUNTS:
        ledger = await sql.fetch(
            "select amount, balance from accounts.entries where account_id = $1 order by entry_id", account
        )
        told = [
            event for event in has.values() if event["aggregate_id"] == account and event["type"] != "AccountOpened"
        ]
        signed = [(-1 if event["type"] == "Withdrawn" else 1) * event["data"]["amount"] for event in told]
        booked = [(amount, event["data"]["balance"]) for amount, event in zip(signed, told, strict=True)]
        assert booked == [tuple(row) for row in ledger]
    return len(has)
