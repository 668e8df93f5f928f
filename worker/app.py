"""One worker process: what it opens, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from worker.checks import check_schema
from worker.circuit import Circuit
from worker.consumer import Consumer
from worker.database import Database
from worker.desk.store import forget
from worker.events import Announcer
from worker.health import serve_health
from worker.keys import worker_keys
from worker.migrations import migrate
from worker.mover import Mover
from worker.pipeline import Pipeline
from worker.receipts import keep_partitions
from worker.registry import find_families
from worker.relay import Relay
from worker.replies import Replies
from worker.served import Served, serve

if TYPE_CHECKING:
    from worker.events import Announces
    from worker.settings import WorkerSettings

PARTITIONS_EVERY_S = 3600
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger("rowcall.app")


async def run(settings: WorkerSettings) -> None:
    """Serve until a signal asks to stop, then finish what runs. Raises what forbids serving at all."""
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    families = find_families(settings.families)
    served = serve(families, settings)  # before the schema is touched: who cannot serve it shall not change it
    keys = worker_keys(settings, [answer.method for answer in served.answers.values()])
    await migrate(settings, families)
    relay = Relay(settings, served.statements)
    async with (
        Announcer(settings, {family.name: family for family in families}, relay.wake) as announcer,
        open_pipeline(settings, served, announcer) as (pipeline, database),
    ):
        mover = Mover(settings, database, served.statements, keys)
        replies = Replies(settings, keys)
        consumer = Consumer(settings, pipeline, replies, mover.attach)
        circuit = database.observer = Circuit(database, served.statements, consumer.intake)
        async with (
            serve_health(settings, database, consumer, replies, relay, circuit),
            _background(_keep_partitions(settings, database, served)),
            _background(database.keep_clock()),
            _background(circuit.run()),
            _background(mover.run()),
            _background(relay.run()),
        ):
            replies.link.start()
            consumer.link.start()
            if not keys.seals:
                log.warning("dead letters are kept in the clear", remedy="ROWCALL_ENCRYPTION_KEYS: `rowcall keys new`")
            log.info("started", families=[family.name for family in families], methods=len(served.answers))
            await _until_stopped(stop, consumer)
            await consumer.drain()
            await consumer.link.stop()
            await replies.link.stop()
    log.info("stopped")


@contextlib.asynccontextmanager
async def open_pipeline(
    settings: WorkerSettings, served: Served, announcer: Announces
) -> AsyncIterator[tuple[Pipeline, Database]]:
    """What answers calls, without anything that carries them: also what ``worker.testing`` calls in-process."""
    async with Database(settings) as database:
        async with database.connection(settings.acquire_s) as connection:
            await check_schema(connection, served)
        yield Pipeline(served, database, announcer, settings), database


async def _until_stopped(stop: asyncio.Event, consumer: Consumer) -> None:
    """Wait for a signal, or for a set-up that the broker refuses for good."""
    stopped, refused = asyncio.create_task(stop.wait()), asyncio.create_task(consumer.link.failed())
    try:
        await asyncio.wait([stopped, refused], return_when=asyncio.FIRST_COMPLETED)
        if refused.done() and (error := refused.exception()) is not None:
            raise error
    finally:
        stopped.cancel()
        refused.cancel()


@contextlib.asynccontextmanager
async def _background(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _keep_partitions(settings: WorkerSettings, database: Database, served: Served) -> None:
    """Every hour, the receipts' partitions of the days to come; and dead letters past their time are forgotten."""
    while True:
        await asyncio.sleep(PARTITIONS_EVERY_S)
        try:
            async with database.connection(settings.acquire_s) as connection:
                now = datetime.now(UTC)
                await keep_partitions(connection, served.statements, now=now, retention_days=settings.retention_days)
                await forget(connection, served.statements, now=now, table_days=settings.dead_letter_table_days)
        except Exception:
            log.exception("the receipts' partitions could not be kept; trying again in an hour")
