"""One worker process: what it opens, in which order, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from rpc_client.connection import SetupRefusedError
from rpc_client.tasks import end
from worker.answers import Unkeyed
from worker.checks import check_schema
from worker.circuit import Circuit
from worker.consumer import Consumer
from worker.database import Database
from worker.desk.store import forget
from worker.discretion import Discretion
from worker.events import Announcer
from worker.health import serve_health
from worker.keys import key_ring
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
EX_CUT_SHORT, EX_SOFTWARE = 1, 70
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger("rowcall.app")


async def run(settings: WorkerSettings) -> int:
    """Serve until a signal asks to stop, then finish what runs; at a second signal, or after `drain_s`, cut it short.

    Returns the exit code. Raises what forbids serving at all.
    """
    stop, hurry = _on_signals()
    families = find_families(settings.families)
    served = serve(families, settings)  # before the schema is touched: who cannot serve it shall not change it
    discretion = Discretion(key_ring(settings), [answer.method for answer in served.answers.values()])
    await migrate(settings, families)
    relay = Relay(settings, served.statements)
    async with (
        Announcer(settings, {family.name: family for family in families}, relay.wake) as announcer,
        open_pipeline(settings, served, announcer) as (pipeline, database),
    ):
        mover = Mover(settings, database, served.statements, discretion)
        replies = Replies(settings, discretion)
        consumer = Consumer(settings, pipeline, replies, mover.attach)
        circuit = database.observer = Circuit(database, served.statements, consumer.intake)
        async with (
            serve_health(settings, database, consumer, replies, relay, circuit),
            _background(_keep_partitions(settings, database, served)) as keeping,
            _background(database.keep_clock()) as comparing,
            _background(circuit.run()) as watching,
            _background(mover.run()) as moving,
            _background(relay.run()) as relaying,
        ):
            replies.link.start()
            consumer.link.start()
            if not discretion.keys.seals:
                _say_what_has_no_key(served)
            log.info("started", families=[family.name for family in families], methods=len(served.answers))
            parts = {"partitions": keeping, "clock": comparing, "circuit": watching, "mover": moving, "relay": relaying}
            links = {"requests": consumer.link.task, "replies": replies.link.task}
            code = await _until_stopped(stop, {**parts, **links})
            finished = await consumer.drain(hurry)
            await consumer.link.stop()
            await replies.link.stop()
    log.info("stopped")
    return code or (0 if finished else EX_CUT_SHORT)


def _say_what_has_no_key(served: Served) -> None:
    remedy = "ROWCALL_ENCRYPTION_KEYS: `rowcall keys new`"
    log.warning("dead letters are kept in the clear", remedy=remedy)
    if unkeyed := sorted(name for name, answer in served.answers.items() if isinstance(answer, Unkeyed)):
        log.warning("methods with secrets are not served: there is no key", methods=unkeyed, remedy=remedy)


def _on_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """What the first signal to stop sets, and what a second one does."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def ask() -> None:
        (hurry if stop.is_set() else stop).set()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, ask)
    return stop, hurry


@contextlib.asynccontextmanager
async def open_pipeline(
    settings: WorkerSettings, served: Served, announcer: Announces, *, fits: bool = False
) -> AsyncIterator[tuple[Pipeline, Database]]:
    """What answers calls, without anything that carries them: also what ``worker.testing`` calls in-process.

    Args:
        fits: the schema is known to be the one that is served.
    """
    async with Database(settings) as database:
        if not fits:
            async with database.connection(settings.acquire_s) as connection:
                await check_schema(connection, served)
        yield Pipeline(served, database, announcer, settings), database


async def _until_stopped(stop: asyncio.Event, parts: Mapping[str, asyncio.Task[None]]) -> int:
    """Wait for a signal: 0. A part that ends before is a bug, and a worker without it would only seem to live: 70.

    Raises what the broker refuses for good.
    """
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopped, *parts.values()], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    for name, task in parts.items():
        if not task.done():
            continue
        error = None if task.cancelled() else task.exception()
        if isinstance(error, SetupRefusedError):
            raise error
        log.error("a bug: a part of this worker ended, and so does the worker", part=name, exc_info=error)
        return EX_SOFTWARE
    return 0


@contextlib.asynccontextmanager
async def _background(work: Coroutine[object, object, None]) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await end(task)


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
