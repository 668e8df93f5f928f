"""``Link``: one AMQP connection that comes back by itself.

The driver's own recovery has a fixed pause, one address, and restores what it happened to register. Here whoever owns
a link says in ``on_up`` what a fresh connection needs; each connection is set up from nothing, so nothing can be
restored wrongly.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any, cast

import aio_pika
from aio_pika.abc import AbstractConnection, ConnectionParameter
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError
from yarl import URL

from rpc_client.frames import Socket
from rpc_client.tasks import end

CONNECT_TIMEOUT_S = 10.0
NEXT_ADDRESS_S = 3.0
"""Where there are several addresses, none is waited for longer before all have been tried."""
CLOSE_TIMEOUT_S = 2.0
LOOK_TIMEOUT_S = 1.0
HASTE_S = 30.0
"""For this long after a loss reconnecting is tried every 0.2–1 s, later every 1–3 s."""

log = logging.getLogger("rowcall.connection")

Channel = AbstractChannel
OnUp = Callable[[AbstractConnection], Awaitable[None]]


class SetupRefusedError(Exception):
    """The broker holds something that forbids the set-up; trying again cannot help."""


async def open_channel(connection: AbstractConnection, *, confirms: bool = True) -> AbstractChannel:
    """A fresh channel, as the driver below aio-pika knows it: publishing through it costs a fraction."""
    try:
        channel = await connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        underlay = await channel.get_underlay_channel()
    except RuntimeError as error:  # the driver's word for a connection that was closed meanwhile
        raise ConnectionError("the connection is closed") from error
    # aio-pika keeps its channels weakly; ours must live as long as what is used of it.
    cast("Any", underlay).owner = channel
    return underlay


async def never(_: DeliveredMessage) -> None:
    """The driver wants a consumer; its messages come past it."""


@contextlib.contextmanager
def loss_as_error() -> Generator[None]:
    """A channel lost while the block waits for it is a ConnectionError.

    The driver cancels whatever waits on a channel that closes; this tells it from a cancellation that somebody means.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the channel closed") from error
    except ChannelInvalidStateError as error:
        raise ConnectionError("the channel is closed") from error


class _Connection(aio_pika.Connection):
    """The driver's connection over a socket of ours."""

    PARAMETERS = (
        *aio_pika.Connection.PARAMETERS,
        ConnectionParameter(name="transport_factory", parser=lambda socket: socket, is_kwarg=True),
    )

    def __del__(self) -> None:
        """Nothing: its link has closed it, or given it up; the driver would try once more, where no loop runs."""


class Link:
    """Keeps one connection to the broker up. ``up`` is set while it is; ``on_up`` runs for every new connection."""

    def __init__(self, urls: Sequence[str], *, name: str, heartbeat_s: int, on_up: OnUp) -> None:
        self._urls = list(urls)
        self._name = name
        self._heartbeat_s = heartbeat_s
        self._on_up = on_up
        self._task: asyncio.Task[None] | None = None
        self._given_up = asyncio.Event()
        self.connection: AbstractConnection | None = None
        self.socket = Socket()
        """The present connection's way past the driver, for messages themselves."""
        self.up = asyncio.Event()
        self.up_since = 0.0
        self.last_error: BaseException | None = None

    def start(self) -> None:
        """Begin connecting, in the background. Harmless when begun already."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"{self._name} link")

    @property
    def elsewhere(self) -> bool:
        """Whether it lives on another event loop than the one that runs here."""
        return self._task is not None and self._task.get_loop() is not asyncio.get_running_loop()

    @property
    def over(self) -> bool:
        """Whether its event loop is closed: nothing of it will ever go on."""
        return self.loop is not None and self.loop.is_closed()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop it lives on, from its start."""
        return None if self._task is None else self._task.get_loop()

    async def stop(self) -> None:
        """Close, for good. Harmless when closed already, or never begun."""
        if self._task is not None:  # it is done where its loop has ended before
            await end(self._task)
        await self._close()

    def drop(self, reason: str) -> None:
        """Give this connection up and make a new one, because something that cannot be mended happened on it."""
        log.warning("%s: connection dropped, a new one is made: %s", self._name, reason)
        self.last_error = ConnectionError(reason)
        self._given_up.set()

    @property
    def task(self) -> asyncio.Task[None]:
        """What keeps it up. It ends by itself only with what cannot be tried again: SetupRefusedError, or a bug."""
        assert self._task is not None
        return self._task

    @property
    def started(self) -> bool:
        """Whether connecting has begun."""
        return self._task is not None

    @property
    def age_s(self) -> float:
        """For how long the present connection has been up; 0 while it is not."""
        return time.monotonic() - self.up_since if self.up.is_set() else 0.0

    async def _run(self) -> None:
        lost_at, tried, in_vain = time.monotonic(), 0, 0
        while True:
            try:
                patient = in_vain >= len(self._urls) or len(self._urls) == 1
                in_vain += 1
                timeout_s = CONNECT_TIMEOUT_S if patient else NEXT_ADDRESS_S
                await self._connect(self._urls[tried % len(self._urls)], timeout_s)
                in_vain = 0
                await self._until_lost()
                lost_at = time.monotonic()
                log.warning("%s: connection lost; reconnecting", self._name)
            except SetupRefusedError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the answer is to try again
                self.last_error = error
                log.warning("%s: cannot connect, trying again: %r", self._name, error)
            finally:
                self.up.clear()
                await self._close()
            tried += 1
            hasty = time.monotonic() - lost_at < HASTE_S
            await asyncio.sleep(random.uniform(0.2, 1.0) if hasty else random.uniform(1.0, 3.0))  # noqa: S311

    async def _until_lost(self) -> None:
        """Wait until the driver has lost the connection, or somebody has given it up."""
        assert self.connection is not None
        ways = [asyncio.ensure_future(self.connection.closed()), asyncio.ensure_future(self._given_up.wait())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()

    async def _connect(self, url: str, timeout_s: float) -> None:
        address = URL(url).update_query(heartbeat=str(self._heartbeat_s))
        async with asyncio.timeout(timeout_s):
            self._given_up.clear()
            self.socket = Socket()
            self.connection = _Connection(
                address, client_properties={"connection_name": self._name}, transport_factory=self.socket
            )
            with loss_as_error():  # else a loss in the middle would look as if somebody had ended this task
                await self.connection.connect()
                self.socket.frame_max = _frame_max(self.connection) or self.socket.frame_max
                await self._on_up(self.connection)
        self.last_error = None
        self.up_since = time.monotonic()
        self.up.set()

    async def _close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is None:
            return
        # The driver may go on closing when it is cancelled, so its end is not waited for, and the socket cut.
        closing, socket = asyncio.create_task(connection.close()), self.socket
        closing.add_done_callback(self._closed)
        try:
            await asyncio.wait([closing], timeout=CLOSE_TIMEOUT_S)
        finally:
            closing.cancel()
            socket.abort()

    def _closed(self, closing: asyncio.Task[None]) -> None:
        """It is given up in any case; the broker notices by its heartbeat."""
        if not closing.cancelled() and (error := closing.exception()) is not None:
            log.debug("%s: closing the connection failed: %r", self._name, error)


def _frame_max(connection: AbstractConnection) -> int:
    """The largest frame that the broker takes; 0 means any."""
    transport = connection.transport
    return 0 if transport is None else transport.connection.connection_tune.frame_max
