"""What is left when a run is over, one file each: every table, the record of events, and whatever lies in a queue."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel
from redis.asyncio import Redis
from redis.asyncio import from_url as open_redis

from rpc_client.wire import Names
from tests.chaos.folder import Folder
from worker.keys import QUEUE, KeyRing, UnreadableError, key_ring
from worker.settings import WorkerSettings

ROWS, ENTRIES = 1000, 1000
TIMEOUT_S = 60.0
TABLES = """
select schemaname, tablename
from pg_tables
where
    schemaname in ('rowcall', 'accounts', 'chaos', 'platform')
    and tablename <> 'migrations'
    and tablename not like 'receipts\\_%'
order by 1, 2
"""
"""Receipts' partitions are in their parent."""
ORDERED = {"receipts": "at, id"}
"""Every other table's first column is its number or its key."""

Row = dict[str, Any]


async def dump(root: Path, settings: WorkerSettings) -> None:
    """Write down everything that a run of these settings left."""
    folder, keys = Folder(root).dump, key_ring(settings)
    async with asyncio.timeout(TIMEOUT_S):
        await _dump_tables(folder, settings, keys)
        await _dump_record(folder, settings)
        await _dump_queues(folder, settings, keys)


async def _dump_tables(folder: Path, settings: WorkerSettings, keys: KeyRing) -> None:
    connection = await asyncpg.connect(settings.postgres_url.get_secret_value())
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for schema, table in await connection.fetch(TABLES):
                opened = (lambda row: _opened(row, keys)) if table == "dead_letters" else _as_it_is
                await _dump_table(connection, f"{schema}.{table}", folder / f"{table}.jsonl", opened)
    finally:
        await connection.close()


async def _dump_table(connection: asyncpg.Connection, table: str, path: Path, opened: Callable[[Row], Row]) -> None:
    order = ORDERED.get(path.stem, "1")
    query = f"select row_to_json(t)::text from (select * from {table} order by {order}) as t"
    with path.open("w") as file:
        async for row in connection.cursor(query, prefetch=ROWS):
            file.write(json.dumps(opened(json.loads(row[0]))) + "\n")


def _as_it_is(row: Row) -> Row:
    return row


def _opened(row: Row, keys: KeyRing) -> Row:
    """A dead letter as its key shows it."""
    for column, place in (("body", "letter"), ("traceback", "traceback")):
        sealed = bytes.fromhex(row[column].removeprefix("\\x"))
        row[column] = keys.unseal(sealed, place=f"{place}/{row['id']}").decode(errors="replace")
    return row


async def _dump_record(folder: Path, settings: WorkerSettings) -> None:
    """The stream's entries in their order, and what there is to know of it."""
    names = Names(settings.prefix)
    client: Redis = open_redis(settings.redis_url.get_secret_value(), decode_responses=True)
    try:
        (folder / "about_stream.json").write_text(json.dumps(await client.hgetall(names.about_events)))
        with (folder / "stream.jsonl").open("w") as file:
            after = "-"
            while entries := await client.xrange(names.events, min=after, count=ENTRIES):
                for entry, fields in entries:
                    file.write(json.dumps({"entry": entry, "event": json.loads(fields["event"])}) + "\n")
                after = f"({entries[-1][0]}"
    finally:
        await client.aclose()


async def _dump_queues(folder: Path, settings: WorkerSettings, keys: KeyRing) -> None:
    """What lies in the queues; there it stays. A queue that is gone is told as null."""
    names = Names(settings.prefix)
    found: dict[str, list[Row] | None] = {}
    async with await aio_pika.connect(settings.amqp_urls[0]) as connection:
        for queue in (names.queue("read"), names.queue("write"), names.dead_letters):
            found[queue] = None
            with contextlib.suppress(aio_pika.exceptions.ChannelNotFoundEntity):
                found[queue] = await _messages(await connection.channel(), queue, keys)
    (folder / "queues.json").write_text(json.dumps(found, indent=1))


async def _messages(channel: AbstractRobustChannel, name: str, keys: KeyRing) -> list[Row]:
    """All of a queue; closing the channel gives them back."""
    queue = await channel.declare_queue(name, passive=True)
    found = []
    while (message := await queue.get(fail=False)) is not None:
        found.append(_told(message, keys))
    await channel.close()
    return found


def _told(message: AbstractIncomingMessage, keys: KeyRing) -> Row:
    body = message.body
    if message.headers.get("x-rowcall-sealed") == 1:
        with contextlib.suppress(UnreadableError):
            body = keys.unseal(body, place=QUEUE)
    return {
        "body": body.decode(errors="replace"),
        "routing_key": message.routing_key,
        "redelivered": message.redelivered,
        "reply_to": message.reply_to,
        "headers": json.loads(json.dumps(dict(message.headers), default=str)),
    }
