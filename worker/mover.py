"""``Mover``: takes dead letters out of their queue into the database, where they are searched and kept.

It lives on a channel of its own beside the calls, which never wait for it. A message leaves the queue only once its
rows are committed; what cannot be kept now stays there.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiormq.exceptions import AMQPError

from rpc_client.connection import loss_as_error, never, open_channel
from rpc_client.errors import Unavailable
from rpc_client.frames import Socket
from rpc_client.reader import HotChannel
from rpc_client.wire import Names
from worker import topology
from worker.arrivals import Arrivals
from worker.delivery import Delivery
from worker.desk.store import KeptLetter, keep
from worker.errors import Verdict, is_schema_change, judge
from worker.keys import UnreadableError

if TYPE_CHECKING:
    from aio_pika.abc import AbstractConnection
    from aiormq.abc import AbstractChannel

    from worker.database import Database
    from worker.discretion import Discretion
    from worker.settings import WorkerSettings
    from worker.statements import Statement

PREFETCH = 16
LETTERS, BYTES = 64, 1 << 20
"""So many make a transaction, or those of one message: sealing more at once would keep calls waiting."""
FIRST_PAUSE_S, LAST_PAUSE_S = 0.1, 5.0
HELD_S = 30.0
"""What cannot be kept goes back after this long: another worker, or a mended one, may know better."""
MAX_HELD = 1024
AGAIN_S = 1.0
OWN_FAULT = {"22", "23", "54"}
"""The classes of SQLSTATE that say something is wrong with a value."""

log = structlog.get_logger("rowcall.mover")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message, and what is to be kept of it."""

    delivery: Delivery
    letters: list[KeptLetter]
    whole: bool = False
    """Its bytes are kept as they came."""


class Mover:
    """Moves dead letters, as long as ``run`` runs."""

    def __init__(
        self,
        settings: WorkerSettings,
        database: Database,
        statements: Mapping[str, Statement],
        discretion: Discretion,
        *,
        held_s: float = HELD_S,
    ) -> None:
        self._held_s = held_s
        self._settings = settings
        self._queue = Names(settings.prefix).dead_letters
        self._database = database
        self._statements = statements
        self._discretion = discretion
        self._arrivals = Arrivals(settings, discretion.keys)
        self._waiting: asyncio.Queue[Delivery] = asyncio.Queue()
        self._consuming: asyncio.Task[None] | None = None
        self._consumers = 0
        """Of the channel that is open."""
        self._held: set[asyncio.Task[None]] = set()
        """One for every message that stays in the queue for now."""
        self._widening: set[asyncio.Task[None]] = set()

    def attach(self, connection: AbstractConnection, socket: Socket) -> None:
        """From now on, take letters over this connection. What goes wrong there is no trouble of the calls."""
        self._detach()
        self._consuming = asyncio.create_task(self._consume(connection, socket))

    def _detach(self) -> None:
        if self._consuming is not None:
            self._consuming.cancel()

    async def _consume(self, connection: AbstractConnection, socket: Socket) -> None:
        """Keep a channel open as long as the connection is."""
        while not connection.is_closed:
            try:
                with loss_as_error():
                    async with self._channel(connection, socket) as channel:
                        await self._until_lost(channel)
                    await asyncio.sleep(AGAIN_S)
                    await topology.declare(connection, self._settings)  # should somebody have deleted the queue
            except Exception as error:  # noqa: BLE001 - whatever it is, the answer is to try again
                if not connection.is_closed:
                    log.warning("dead letters cannot be taken from their queue; trying again", error=repr(error))
                await asyncio.sleep(AGAIN_S)

    @contextlib.asynccontextmanager
    async def _channel(self, connection: AbstractConnection, socket: Socket) -> AsyncIterator[AbstractChannel]:
        channel = await open_channel(connection, confirms=False)
        take = self._waiting.put_nowait
        # The driver would give up the connection for a message whose sender put into it what is no text.
        socket.take_over(channel.number, HotChannel(lambda message: take(Delivery.of(message, channel, socket))))
        try:
            await channel.basic_qos(prefetch_count=PREFETCH)
            yield channel
        finally:
            socket.give_back(channel.number)
            if not channel.is_closed:
                await channel.close()

    async def _until_lost(self, channel: AbstractChannel) -> None:
        """Consume until the channel closes, or the broker cancels that because the queue is gone."""
        cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def on_cancelled(_: object) -> None:
            if not cancelled.done():
                cancelled.set_result(None)

        channel.on_consumer_cancel_callbacks.add(on_cancelled)
        self._consumers = 1
        await channel.basic_consume(self._queue, never)
        await asyncio.wait([channel.closing, cancelled], return_when=asyncio.FIRST_COMPLETED)

    async def run(self) -> None:
        """Move what comes, until cancelled. What is not committed by then comes again."""
        try:
            while True:
                await self._keep(await self._next())
        finally:
            self._detach()

    async def _next(self) -> list[Parcel]:
        """What waits, up to a transaction's worth."""
        parcels = self._read(await self._waiting.get())
        while not self._waiting.empty() and _has_room(parcels):
            parcels += self._read(self._waiting.get_nowait())
        return parcels

    def _read(self, delivery: Delivery) -> list[Parcel]:
        if delivery.channel.is_closed:
            return []
        try:
            origin, key = delivery.origin, delivery.routing_key
            parcel = Parcel(delivery, self._arrivals.read(delivery.body, delivery.headers, key, origin))
        except UnreadableError as error:
            log.error("a dead letter cannot be opened and stays in its queue", why=str(error))  # noqa: TRY400
            self._hold(delivery)
            return []
        except Exception as error:  # noqa: BLE001 - whatever somebody sent, its bytes can be kept
            parcel = self._as_it_came(delivery, error)
        if all(self._discretion.may_keep(letter.body, letter.routing_key) for letter in parcel.letters):
            return [parcel]
        log.warning("a dead letter stays in its queue: it may hold secrets, and there is no key to seal it with")
        self._hold(delivery)
        return []

    def _as_it_came(self, delivery: Delivery, error: Exception) -> Parcel:
        log.error("a dead letter could not be read and is kept as it came", **_described(error))
        return Parcel(delivery, self._arrivals.whole(delivery.body, delivery.routing_key, delivery.origin), whole=True)

    async def _keep(self, parcels: list[Parcel]) -> None:
        """Commit, then acknowledge; wait while the database is away. What a lost connection brought comes again."""
        pause = FIRST_PAUSE_S
        while parcels := [parcel for parcel in parcels if not parcel.delivery.channel.is_closed]:
            try:
                await self._store([letter for parcel in parcels for letter in parcel.letters])
            except Exception as error:  # noqa: BLE001 - judged
                if not _passes(error):
                    return await self._keep_apart(parcels, error)
                if pause == FIRST_PAUSE_S:
                    log.warning("dead letters wait in their queue for the database", error=repr(error))
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
                pause = min(pause * 2, LAST_PAUSE_S)
            else:
                for parcel in parcels:
                    parcel.delivery.acknowledge()
                return None
        return None

    async def _store(self, letters: list[KeptLetter]) -> None:
        async with self._database.connection(self._settings.acquire_s) as connection:
            await keep(connection, self._statements, self._discretion.keys, letters)
        log.info("dead letters kept", letters=len(letters))

    async def _keep_apart(self, parcels: list[Parcel], error: Exception) -> None:
        """Something is wrong with one of them: it shall not keep the others back, nor be lost."""
        if len(parcels) > 1:
            for parcel in parcels:
                await self._keep([parcel])
        elif not parcels[0].whole and _is_its_own_fault(error):
            await self._keep([self._as_it_came(parcels[0].delivery, error)])
        else:
            log.error("a dead letter cannot be kept and stays in its queue", **_described(error))
            self._hold(parcels[0].delivery)

    def _hold(self, delivery: Delivery) -> None:
        """Leave it unsettled for a while, so that others pass, and hand it back then."""
        if delivery.channel.is_closed:
            return
        _spawn(self._hand_back(delivery), self._held)
        if PREFETCH * self._consumers <= len(self._held) < MAX_HELD:  # everything that may be in our hands is held
            self._consumers += 1
            _spawn(self._widen(delivery.channel), self._widening)

    async def _hand_back(self, delivery: Delivery) -> None:
        await asyncio.sleep(self._held_s)
        await delivery.hand_back()

    async def _widen(self, channel: AbstractChannel) -> None:
        """Take as many more: each consumer of a channel has a prefetch of its own."""
        with contextlib.suppress(AMQPError, OSError), loss_as_error():
            await channel.basic_consume(self._queue, never)


def _spawn(work: Coroutine[object, object, None], among: set[asyncio.Task[None]]) -> None:
    task = asyncio.create_task(work)
    among.add(task)
    task.add_done_callback(among.discard)


def _has_room(parcels: list[Parcel]) -> bool:
    letters = sum(len(parcel.letters) for parcel in parcels)
    return letters < LETTERS and sum(len(parcel.delivery.body) for parcel in parcels) < BYTES


def _passes(error: Exception) -> bool:
    found = judge(error)
    return (isinstance(found, Unavailable) and not is_schema_change(error)) or found in {
        Verdict.TRANSIENT,
        Verdict.TIMEOUT,
    }


def _is_its_own_fault(error: Exception) -> bool:
    state = getattr(error, "sqlstate", None)
    return state is None or state[:2] in OWN_FAULT


def _described(error: Exception) -> dict[str, str]:
    """An error without its words, which may quote what was sent."""
    return {"error": type(error).__name__, "exception": "".join(traceback.format_tb(error.__traceback__))}
