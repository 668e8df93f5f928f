"""``/health``: the process lives. ``/ready``: it can answer calls, and if not, why."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from aiohttp.web import TCPSite

    from worker.circuit import Circuit
    from worker.consumer import Consumer
    from worker.database import Database
    from worker.relay import Relay
    from worker.replies import Replies
    from worker.settings import WorkerSettings

PROBE_S = 2.0

log = structlog.get_logger("rowcall.health")


class PortError(Exception):
    """Nobody can listen there now."""


@contextlib.asynccontextmanager
async def serve_health(
    settings: WorkerSettings,
    database: Database,
    consumer: Consumer,
    replies: Replies,
    relay: Relay,
    circuit: Circuit,
) -> AsyncIterator[None]:
    """Serve both while the block runs, where a port is set. PortError where it is another's."""
    if settings.http_port is None:
        yield
        return
    # Imported here: a worker without a port needs no HTTP server in its memory.
    from aiohttp import web

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def ready(_: web.Request) -> web.Response:
        checks = {
            "requests": (circuit.state or "up") if consumer.link.up.is_set() else "not connected to RabbitMQ",
            "replies": "up" if replies.link.up.is_set() else "not connected to RabbitMQ",
            "database": await _probe(database),
        }
        events, bearable = await relay.state(database)
        good = all(state == "up" for state in checks.values()) and bearable
        return web.json_response({"ready": good, **checks, "events": events}, status=200 if good else 503)

    app = web.Application()
    app.add_routes([web.get("/health", health), web.get("/ready", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await _listen(web.TCPSite(runner, settings.http_host, settings.http_port))
        log.info("health", address=[f"http://{host}:{port}" for host, port in runner.addresses])
        yield
    finally:
        await runner.cleanup()


async def _listen(site: TCPSite) -> None:
    try:
        await site.start()
    except OSError as error:
        raise PortError(f"ROWCALL_HTTP_PORT: {site.name} cannot be listened on: {error}") from error


async def _probe(database: Database) -> str:
    try:
        await database.fetch("select 1", [()], timeout_s=PROBE_S)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return f"{type(error).__name__}: {error}"
    return "up"
