"""Bugs of the record of events."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence

from redis.exceptions import RedisError

import worker.copying
from rpc_client.record import Place
from rpc_client.wire import Names
from tests.chaos.plants.plant import rewrite
from worker.database import Row, Transaction
from worker.events import event_texts
from worker.settings import WorkerSettings
from worker.stream import open_redis


def event_early() -> None:
    """A story's events are in the record before it commits."""
    store = Transaction.store_receipt
    settings = WorkerSettings()
    redis, stream = open_redis(settings), Names(settings.prefix).events

    async def tell_and_store(self: Transaction, values: Mapping[str, object]) -> Row:
        row = await store(self, values)
        events = json.dumps(self.events)  # as PostgreSQL would write it
        family = str(values["_method"]).partition(".")[0]
        for n, text in enumerate(event_texts(str(values["_id"]), family, row["seq"] or 0, '""', events)):
            with contextlib.suppress(RedisError):
                await redis.xadd(stream, {"event": text}, id=f"{row['seq']}-{n}")
        return row

    Transaction.store_receipt = tell_and_store


def by_transaction() -> None:
    """Events are recorded in the order of their transactions' ids, which are given before the row locks."""
    rewrite(
        "rowcall.read_events",
        ("select seq, id::text as id,", "select seq, xmin::text::bigint as x, id::text as id,"),
        ("order by r.seq;", "order by r.x, r.seq;"),
    )
    portions = worker.copying.portions

    def in_their_order(rows: Sequence[Row]) -> Iterator[tuple[int, list[str], list[str]]]:
        for _, ids, texts in portions(rows):
            ids.sort(key=Place.read)
            yield Place.read(ids[-1]).seq, ids, texts

    worker.copying.portions = in_their_order


def without_horizon() -> None:
    """Whatever is visible is recorded at once, and what commits later with a lower number never is."""
    rewrite(
        "rowcall.read_events",
        ("pg_snapshot_xmin(pg_current_snapshot()) >= :xid::text::xid8", ":xid::text is not null"),
    )
