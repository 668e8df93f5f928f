"""``Intake``: whether a worker takes messages from the queues, on whatever channel it has just now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from rpc_client.connection import loss_as_error, never
from rpc_client.wire import Names
from worker.topology import LANES

if TYPE_CHECKING:
    from aiormq.abc import AbstractChannel

ASK_S = 5.0

log = structlog.get_logger("rowcall.consumer")


class Intake:
    """Consumes both lanes, or lets their messages lie. What was taken before a pause is finished, not handed back.

    `give_up` is called, with the reason, when consuming cannot begin again on a channel that is open.
    """

    def __init__(self, names: Names, give_up: Callable[[str], None]) -> None:
        self._queues = [names.queue(lane) for lane in LANES]
        self._give_up = give_up
        self._channel: AbstractChannel | None = None
        self._tags: list[str] = []
        self._paused = self._stopped = False
        self._asking = asyncio.Lock()
        """One asks the broker at a time, so that what holds in the end is what was wanted last."""

    async def use(self, channel: AbstractChannel) -> None:
        """From now on consume on this channel, unless consuming pauses."""
        async with self._asking:
            self._channel, self._tags = channel, []
            await self._begin()

    async def pause(self) -> None:
        """Let lie what comes from now on."""
        self._paused = True
        async with self._asking:
            await self._end()

    async def resume(self) -> None:
        """Take what comes again."""
        self._paused = False
        async with self._asking:
            channel = self._channel
            try:
                await self._begin()
            except Exception as error:  # noqa: BLE001 - as the driver ends what waits on a lost channel
                if channel is not None and not channel.is_closed:
                    self._give_up(f"consuming did not begin again: {error!r}")

    async def stop(self) -> None:
        """Let lie what comes, for good."""
        self._stopped = True
        await self.pause()

    async def _begin(self) -> None:
        channel = self._channel
        if self._paused or self._stopped or self._tags or channel is None or channel.is_closed:
            return
        with loss_as_error():
            for queue in self._queues:
                self._tags.append(await _consume(channel, queue))
        log.info("consuming", queues=self._queues)

    async def _end(self) -> None:
        if not (self._paused or self._stopped) or self._channel is None or self._channel.is_closed:
            return
        tags, self._tags = self._tags, []
        for tag in tags:
            try:
                with loss_as_error():
                    await self._channel.basic_cancel(tag, timeout=ASK_S)
            except Exception as error:  # noqa: BLE001 - as the driver ends what waits on a lost channel
                log.info("consuming ended with the connection", error=repr(error))
        log.info("not consuming", queues=self._queues)


async def _consume(channel: AbstractChannel, queue: str) -> str:
    """The consumer's tag. A queue may have lost its leader: declaring it works then, and only this never ends."""
    try:
        return (await channel.basic_consume(queue, never, timeout=ASK_S)).consumer_tag or ""
    except TimeoutError:
        raise ConnectionError(f"nobody can consume {queue}: has it a leader? rabbitmq-queues quorum_status") from None
