"""One connection: made, begun, undone and ended so that neither a dead link nor a dead worker holds anybody up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from urllib.parse import parse_qs, urlsplit

import asyncpg
from pydantic_core import from_json, to_json

if TYPE_CHECKING:
    from rpc_client.clocks import Clock
    from worker.settings import WorkerSettings

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CONNECT_S = 10.0
CLOSE_S = 5.0
END_S = 2.0
"""A commit gets at least so long, whatever the deadline: its answer tells what is known. A rollback gets no longer."""
SILENT_S = 5
"""A link on which nothing is acknowledged for so long is given up, and its calls go to another."""
CLOCK = "select extract(epoch from clock_timestamp())::float8"
WORKERS = {"application_name": "rowcall worker", "idle_in_transaction_session_timeout": "10000"}
MINDFUL = {
    # A worker that is gone, or has given up on a statement, frees its locks and its place within a second.
    "client_connection_check_interval": "1000",
    # One whose network is gone does within a minute; the system's own two hours would fill the server.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
"""How a session notices that its client has gone."""


class WatchedConnection(asyncpg.Connection):
    """A connection that ends by itself when nothing comes through any more.

    Without this the system sends again for a quarter of an hour; and after a long outage it pauses as long again.
    """

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        _give_up_early(transport.get_extra_info("socket"))


def _give_up_early(link: socket.socket | None) -> None:
    if link is None:
        return  # it went in this very moment
    if link.family not in {socket.AF_INET, socket.AF_INET6} or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return  # a local socket needs none of it, and only Linux has it
    with socket.socket(fileno=os.dup(link.fileno())) as same:  # uvloop's own object takes no options
        same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
        same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)


async def connect(settings: WorkerSettings, timeout_s: float) -> Connection:
    """A connection of the pool. ConnectionError where none is made in time; what PostgreSQL says, where it refuses."""
    url = settings.postgres_url.get_secret_value()
    try:
        connection: Connection = await asyncpg.connect(
            url,
            timeout=timeout_s,
            connection_class=cast("Any", WatchedConnection),
            statement_cache_size=1024,
            max_cached_statement_lifetime=0,
            max_cacheable_statement_size=64 << 10,
            command_timeout=settings.statement_s,
            target_session_attrs=_wanted(url),
            server_settings={
                **WORKERS,
                **MINDFUL,
                "timezone": "UTC",
                "statement_timeout": str(int(settings.statement_s * 1000)),
                "lock_timeout": str(int(settings.lock_s * 1000)),
            },
        )
    except TimeoutError:
        raise ConnectionError(f"PostgreSQL did not answer in {timeout_s:.1f} s") from None
    await prepare_connection(connection)
    return connection


def _wanted(url: str) -> Any:
    """A server that takes writes, unless somebody said otherwise: a former primary goes on answering, of the past."""
    told = "target_session_attrs" in parse_qs(urlsplit(url).query) or "PGTARGETSESSIONATTRS" in os.environ
    return None if told else "read-write"


async def prepare_connection(connection: Connection) -> None:
    """JSON goes in as it is and comes out as Python values. No round trip: the driver knows this type."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: to_json(value).decode(), decoder=from_json, format="text"
    )


async def compare(clock: Clock, connection: Connection, timeout_s: float) -> None:
    """Learn how far ahead of ours the database's clock is."""
    asked_at = time.time()
    told = await connection.fetchval(CLOCK, timeout=timeout_s)
    clock.compare(told, asked_at, time.time())


@contextlib.asynccontextmanager
async def transaction_of(connection: Connection, expires_at: float) -> AsyncIterator[None]:
    """A transaction, or a savepoint within one, that waits for nobody who is gone.

    The driver's own would wait for as long as a statement may take: to begin, to commit, and after an error to undo on
    the very connection that failed.
    """
    transaction = connection.transaction()
    async with asyncio.timeout(max(expires_at - time.time(), 0.001)):
        await transaction.start()
    try:
        yield
    except BaseException as error:
        await _undo(connection, transaction, error)
        raise
    async with asyncio.timeout(max(expires_at - time.time(), END_S)):
        await transaction.commit()


async def _undo(connection: Connection, transaction: asyncpg.transaction.Transaction, error: BaseException) -> None:
    """Roll back where the connection still is of use; it ends otherwise, and that undoes all the same."""
    if isinstance(error, TimeoutError | asyncio.CancelledError):  # perhaps in the middle of something
        connection.terminate()
    elif not connection.is_closed():
        try:
            async with asyncio.timeout(END_S):
                await transaction.rollback()
        except BaseException:
            connection.terminate()
            raise


def was_lost(connection: Connection | None, error: BaseException) -> bool:
    """Whether there is no connection any more. A call whose own time ran out has ended it: no word on PostgreSQL."""
    return connection is None or (connection.is_closed() and not isinstance(error, TimeoutError))


@contextlib.asynccontextmanager
async def direct_connection(
    settings: WorkerSettings, name: str, *, statement_s: float, **options: str
) -> AsyncIterator[Connection]:
    """A connection beside the pool and past a pooler, for what needs a session of its own.

    `options` are PostgreSQL's settings of the session.
    """
    connection: Connection = await asyncpg.connect(
        settings.direct_url,
        timeout=CONNECT_S,
        connection_class=cast("Any", WatchedConnection),
        command_timeout=statement_s,
        target_session_attrs=_wanted(settings.direct_url),
        server_settings={**MINDFUL, "application_name": name, "timezone": "UTC", **options},
    )
    try:
        yield connection
    finally:
        await close(connection)


async def close(connection: Connection) -> None:
    """Say good-bye, if the server listens."""
    try:
        await connection.close(timeout=CLOSE_S)
    except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
