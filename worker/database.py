"""The connections, and the two things a story gets: ``Session`` to read with, ``Transaction`` to write with."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, Self, TypeVar, cast

import asyncpg
import structlog
from pydantic import TypeAdapter

from rpc_client.clocks import Clock
from rpc_client.contract import EventData
from rpc_client.errors import NotFoundError, RemoteError, Unavailable
from worker.connections import CONNECT_S, Connection, close, compare, connect, transaction_of, was_lost
from worker.crash_points import reached
from worker.errors import is_schema_change
from worker.keys import KeyRing, StrictKeyRing, keys_of
from worker.places import FullError, Places
from worker.settings import WorkerSettings
from worker.statements import Statement

T = TypeVar("T")
Row = asyncpg.Record
Statements = Mapping[str, Statement]

CLOCK_EVERY_S, CONNECT_LEAST_S = 5.0, 1.0

log = structlog.get_logger("rowcall.database")


class Observer(Protocol):
    """Told how each use of a connection ended."""

    def worked(self) -> None: ...
    def failed(self, error: BaseException, *, lost: bool) -> None: ...


class Database:
    """Connections, and whose turn it is: callers queue for them in order of arrival.

    Only transaction-scoped state is ever used, so a connection is handed on as it is: no round trip to reset it.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._keys = StrictKeyRing(keys_of(settings))
        self._places = Places(settings.pool_size)
        self._idle: list[Connection] = []
        self._epoch = 0
        self._away = False
        """Whether the last that was heard of the database is that it does not answer."""
        self.clock = Clock()
        """Its own, compared with ours whenever a connection is made, and now and then."""
        self.observer: Observer | None = None

    async def __aenter__(self) -> Self:
        self._idle.append(await self._open(CONNECT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        idle, self._idle = self._idle, []
        await asyncio.gather(*map(close, idle))

    def expire(self) -> None:
        """Use no connection again that is open now: those at rest end at once, those at work when they are done."""
        idle, self._idle = self._idle, []
        self._epoch += 1
        for connection in idle:
            connection.terminate()

    @contextlib.asynccontextmanager
    async def connection(self, timeout_s: float, *, slow: str | None = None) -> AsyncIterator[Connection]:
        """One connection, in order of arrival. Unavailable when none came free in time.

        Calls of methods that are `slow`, by name, hold at most half of them, so that the others always have some.
        OSError when the database is away.
        """
        acquire_s = max(min(timeout_s, self._settings.acquire_s), 0.001)
        try:
            place = await self._places.take(acquire_s, slow)
        except FullError as error:
            if self.observer is not None and self._places.stuck_s >= self._settings.acquire_s:
                self.observer.failed(ConnectionError(f"no answer for {self._places.stuck_s:.1f} s"), lost=True)
            if self._away:  # it is not that too much is asked: who waits on may be served
                raise ConnectionError("PostgreSQL does not answer") from None
            raise Unavailable(_FULL.format(acquire_s, error), {"limit": self._settings.acquire_s}) from None
        connection, epoch = None, self._epoch
        try:
            # Whatever time this call has left, a connection is made for those that follow too.
            connection = self._take_idle() or await self._connect(max(acquire_s, CONNECT_LEAST_S))
            yield connection
            self._away = False
            if self.observer is not None:
                self.observer.worked()
        except BaseException as error:
            if self.observer is not None:
                self.observer.failed(error, lost=was_lost(connection, error))
            if self._is_lost(connection, error):
                raise ConnectionError("the connection to PostgreSQL was lost") from error
            raise
        finally:
            if connection is not None and not connection.is_closed():
                if epoch == self._epoch:
                    self._idle.append(connection)
                else:
                    connection.terminate()
            self._places.give_back(place)

    def _take_idle(self) -> Connection | None:
        """The one that was used last, so that the others may rest; those that died meanwhile are forgotten."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self, timeout_s: float) -> Connection:
        """A new connection. ConnectionError whatever is in the way: while a worker serves, that passes."""
        try:
            return await self._open(timeout_s)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise ConnectionError(f"PostgreSQL takes no connection now: {error}") from error

    async def _open(self, timeout_s: float) -> Connection:
        connection = await connect(self._settings, timeout_s)
        try:
            await compare(self.clock, connection, self._settings.acquire_s)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def keep_clock(self) -> None:
        """Compare our clock with the database's again and again: either may be set meanwhile."""
        while True:
            await asyncio.sleep(CLOCK_EVERY_S)
            try:
                async with self.connection(self._settings.acquire_s) as connection:
                    await compare(self.clock, connection, self._settings.acquire_s)
            except Exception as error:  # noqa: BLE001 - whatever kept it from being told
                log.debug("the clock could not be compared", error=repr(error))

    def _is_lost(self, connection: Connection | None, error: BaseException) -> bool:
        """Learn from an error; whether it is no more than the driver's words for a connection that is gone.

        After an error of the server or of a method the session is in order. After anything else it may still be busy,
        or its server may have stopped answering: waiting for it would hold this place among the others.
        """
        if isinstance(error, TimeoutError | OSError):
            self._away = True
        if connection is None:
            return False
        # What the driver calls an error of its own, it says of a session whose end it has begun to read.
        closed = connection.is_closed() or isinstance(error, asyncpg.InternalClientError)
        if not isinstance(error, asyncpg.PostgresError | RemoteError):
            connection.terminate()
        elif isinstance(error, asyncpg.ReadOnlySQLTransactionError):
            self.expire()  # a primary no longer: the others lead to the same server
        elif is_schema_change(error):
            log.warning("the schema is not the one that this worker was started with", error=str(error))
        return closed and isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)

    async def probe(self, sql: str, timeout_s: float) -> None:
        """Whether it can be reached anew and answers yes; raises what is in the way."""
        connection = await self._connect(timeout_s)
        try:
            if not await connection.fetchval(sql, timeout=timeout_s):
                raise ConnectionError("it takes no writes: it is read-only")
        finally:
            connection.terminate()

    async def fetch(
        self, sql: str, rows: Sequence[Sequence[object]], *, timeout_s: float, slow: str | None = None
    ) -> list[Row]:
        """Run one statement once for every row of arguments: one round trip, one transaction.

        After DDL the driver prepares anew, and goes through the rows twice.
        """
        async with self.connection(timeout_s, slow=slow) as connection:
            return await connection.fetchmany(sql, rows, timeout=max(timeout_s, 0.001))

    @contextlib.asynccontextmanager
    async def session(
        self, statements: Statements, expires_at: float, *, slow: str | None = None
    ) -> AsyncIterator[Session]:
        """What a read story works with."""
        async with self.connection(expires_at - time.time(), slow=slow) as connection:
            yield Session(connection, statements, expires_at, self._keys)

    @contextlib.asynccontextmanager
    async def transaction(
        self, statements: Statements, expires_at: float, *, slow: str | None = None
    ) -> AsyncIterator[Transaction]:
        """What a write story works with; commits on leaving, unless an error leaves."""
        async with self.connection(expires_at - time.time(), slow=slow) as connection:
            reached("K3")
            async with transaction_of(connection, expires_at):
                yield Transaction(connection, statements, expires_at, self._keys, self._settings.prefix)
                reached("K6", sending=True)


_FULL = "no database connection came free in {:.1f} s (ROWCALL_ACQUIRE_S); {}"
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
"""Making one costs a millisecond; a program names few shapes."""


class Session:
    """One connection for one story that reads: named statements in, typed values out."""

    def __init__(self, connection: Connection, statements: Statements, expires_at: float, keys: KeyRing) -> None:
        self._connection = connection
        self._statements = statements
        self._expires_at = expires_at
        self.keys = keys
        """Seal what must not be read where it lies; Unavailable where there are none."""

    @property
    def _left_s(self) -> float:
        return max(self._expires_at - time.time(), 0.001)

    async def value(self, shape: type[T], statement: str, /, **parameters: object) -> T:
        """The only column of the only row; None where there is no row."""
        found = self._statements[statement]
        result = await self._connection.fetchval(found.sql, *found.bind(parameters), timeout=self._left_s)
        return cast("T", _adapter(shape).validate_python(result))

    async def maybe(self, shape: type[T], statement: str, /, **parameters: object) -> T | None:
        """The only row as this record; None where there is no row."""
        text = await self._json(self._statements[statement].as_record, parameters)
        return None if text is None else cast("T", _adapter(shape).validate_json(text))

    async def one(self, shape: type[T], statement: str, /, **parameters: object) -> T:
        """The only row as this record. NotFoundError where there is no row."""
        found = await self.maybe(shape, statement, **parameters)
        if found is None:
            raise NotFoundError(f"no {shape.__name__} fits {', '.join(parameters)}")
        return found

    async def many(self, shape: type[T], statement: str, /, **parameters: object) -> list[T]:
        """Every row as this record, in the statement's order."""
        text = await self._json(self._statements[statement].as_list, parameters)
        return cast("list[T]", _adapter(list[shape]).validate_json(text or "[]"))  # type: ignore[valid-type]  # shape is a value

    async def _json(self, statement: Statement, parameters: Mapping[str, object]) -> str | None:
        arguments = statement.bind({**parameters, "_n": 0})
        return cast("str | None", await self._connection.fetchval(statement.sql, *arguments, timeout=self._left_s))


class Transaction(Session):
    """One transaction for one story that writes. Its receipt follows in the same transaction."""

    def __init__(
        self, connection: Connection, statements: Statements, expires_at: float, keys: KeyRing, prefix: str
    ) -> None:
        super().__init__(connection, statements, expires_at, keys)
        self._prefix = prefix
        self.events: list[dict[str, Any]] = []

    async def run(self, statement: str, /, **parameters: object) -> int:
        """Run a statement for its effect; how many rows it touched."""
        found = self._statements[statement]
        tag = await self._connection.execute(found.sql, *found.bind(parameters), timeout=self._left_s)
        return int(tag.rsplit(" ", 1)[-1])

    async def run_many(self, statement: str, rows: Sequence[Mapping[str, object]], /) -> None:
        """Run a statement once for every row of parameters, in one round trip."""
        found = self._statements[statement]
        await self._connection.executemany(found.sql, [found.bind(row) for row in rows], timeout=self._left_s)

    async def lock(self, key: str, *, shared: bool = False) -> None:
        """Hold this key until the transaction ends, alone or with others who share it."""
        name = "rowcall.lock_shared" if shared else "rowcall.lock_alone"
        await self._connection.execute(self._statements[name].sql, f"{self._prefix}:{key}", timeout=self._left_s)

    def emit(self, aggregate_id: str, event: EventData) -> None:
        """Announce what happened to this one, once this transaction has committed."""
        kind = {"type": type(event).__name__, "aggregate": event.aggregate, "aggregate_id": aggregate_id}
        self.events.append({**kind, "data": event.model_dump(mode="json")})

    async def store_receipt(self, values: Mapping[str, object]) -> Row:
        """Write the receipt of this transaction."""
        found = self._statements["rowcall.store_receipt"]
        row = await self._connection.fetchrow(found.sql, *found.bind(values), timeout=self._left_s)
        return cast("Row", row)

    @contextlib.asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What fails inside is undone, events too; the transaction goes on."""
        known = len(self.events)
        try:
            async with transaction_of(self._connection, self._expires_at):
                yield
        except BaseException:
            del self.events[known:]
            raise
