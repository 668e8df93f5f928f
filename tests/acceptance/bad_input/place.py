"""``Place``: one worker with a database of its own, and a peer that may send it anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
from pamqp.commands import Basic
from pydantic import SecretStr

from tests.acceptance.broker import Peer, connected_peer, dead_letter
from tests.conftest import NAMED, RUN
from tests.processes import WorkerProcess, workers
from worker.servers import Servers
from worker.settings import WorkerSettings
from worker.testing import scratch_database

ODD = "tests.acceptance.bad_input.odd:family"
FULL = 2**63 - 1


@dataclass(frozen=True)
class Place:
    """What a test of bad input needs."""

    settings: WorkerSettings
    worker: WorkerProcess
    peer: Peer
    sql: asyncpg.Connection

    async def send(self, body: bytes, key: str, properties: dict[str, Any]) -> None:
        """Send a message past the library's own checks of its properties."""
        given = {"reply_to": self.peer.replies.name, **properties}
        channel = await self.peer.channel.get_underlay_channel()
        await channel.basic_publish(
            body,
            exchange=self.peer.names.requests,
            routing_key=key,
            properties=Basic.Properties(**given),
            timeout=10,
        )

    async def ask(self, body: bytes, key: str, properties: dict[str, Any]) -> list[dict[str, Any]]:
        """Send a message; the lines of its reply, which must be under its correlation id."""
        given = {"correlation_id": uuid4().hex, **properties}
        await self.send(body, key, given)
        reply = await self.peer.reply()
        assert reply.correlation_id == given["correlation_id"]
        return [orjson.loads(line) for line in reply.body.split(b"\n")]

    async def still_serves(self) -> None:
        """The worker lives, answers the next good call on the same connection, and had answered only once."""
        call = orjson.dumps({"method": "accounts.get_account", "args": {"account_id": "a-1"}})
        (reply,) = await self.ask(call, "read.accounts.get_account", {})
        assert reply["result"]["account_id"] == "a-1"
        assert await self.peer.replies.get(fail=False) is None
        assert self.worker.process.returncode is None

    async def dead_letter(self) -> dict[str, Any]:
        """The next dead letter, taken out of the table."""
        return await dead_letter(self.sql)

    async def buried(self) -> int:
        """How many dead letters lie there."""
        queue = await self.peer.channel.declare_queue(self.peer.names.dead_letters, passive=True)
        kept = await self.sql.fetchval("select count(*) from rowcall.dead_letters")
        return queue.declaration_result.message_count + kept

    async def checksum(self) -> dict[str, str]:
        """Every table but those in which a worker keeps book, and a digest of all its rows."""
        tables = await self.sql.fetch(
            "select format('%I.%I', n.nspname, c.relname) as name from pg_class as c"
            " join pg_namespace as n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'p') and not c.relispartition"
            " and c.relname not in ('dead_letters', 'relay')"
            " and n.nspname in ('rowcall', 'platform', 'accounts', 'odd') order by 1"
        )
        digests = [
            f"select '{table['name']}' as name,"
            f" md5(coalesce(string_agg(t::text, '|' order by t::text), '')) as digest from {table['name']} as t"
            for table in tables
        ]
        return {row["name"]: row["digest"] for row in await self.sql.fetch(" union all ".join(digests))}


@contextlib.asynccontextmanager
async def opened(
    servers: Servers, migrated: str, base: WorkerSettings, folder: Path, **environment: str
) -> AsyncIterator[Place]:
    """A place with two accounts, one of which holds as much as one can."""
    async with scratch_database(servers.postgres_url, copy_of=migrated) as url:
        prefix = f"rowcall-test-{RUN}-{uuid4().hex[:8]}"
        settings = base.model_copy(update={"postgres_url": SecretStr(url), "prefix": prefix, "families": [*NAMED, ODD]})
        async with workers(settings, folder) as start, connected_peer(settings) as peer:
            worker = await asyncio.ensure_future(start(**environment))
            sql = await asyncpg.connect(url)
            try:
                await sql.execute("insert into accounts.accounts (account_id, owner) values ('a-1', 'me')")
                await sql.execute(
                    "insert into accounts.accounts (account_id, owner, balance) values ('full', 'me', $1)", FULL - 5
                )
                yield Place(settings, worker, peer, sql)
            finally:
                await sql.close()
