"""``Deadlines``: ends the calls whose time is up. ``Consumers``: finds out who could have answered them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiormq.exceptions import AMQPError

from rpc_client.connection import LOOK_TIMEOUT_S, Link, loss_as_error, open_channel
from rpc_client.errors import OutcomeUnknown

if TYPE_CHECKING:
    from rpc_client.parcels import Pending

FRESH_S = 1.0
"""For so long what was seen of a queue is told to others, too."""


class Deadlines:
    """One timer watches every call: it is set to the earliest deadline, which most calls are done before."""

    def __init__(self, pending: Mapping[str, Pending]) -> None:
        self._pending = pending
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf

    def watch(self, call: Pending) -> None:
        """Let its wait for a reply end in TimeoutError when its time is up."""
        if call.expires_at < self._looks_at:
            self._look_at(call.expires_at)

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_at(self, moment: float) -> None:
        self.stop()
        self._looks_at = moment
        self._timer = asyncio.get_running_loop().call_later(max(moment - time.monotonic(), 0), self._look)

    def _look(self) -> None:
        self._timer, self._looks_at = None, math.inf
        now = time.monotonic()
        for call in self._pending.values():
            if call.expires_at <= now and not call.reply.done():
                call.reply.set_exception(TimeoutError())
        if left := [call.expires_at for call in self._pending.values() if not call.reply.done()]:
            self._look_at(min(left))


class Consumers:
    """Who consumes a queue. However many ask, one looks, and its answer is theirs for a second."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._looks: dict[str, asyncio.Task[str]] = {}
        self._stale_at: dict[str, float] = {}

    async def gave_up(self, call: Pending, queue: str) -> OutcomeUnknown:
        """What to say at the deadline: what was waited for, and who could have answered."""
        waited_for = await self._waited_for(call, queue)
        message = f"no reply to {call.method} in {call.expires_at - call.issued_at:.3g} s: {waited_for}"
        return OutcomeUnknown(message, request_id=call.id, method=call.method)

    async def _waited_for(self, call: Pending, queue: str) -> str:
        """Why this call has no reply yet, as far as can be told, in words."""
        if alarm := self._link.socket.alarm:
            why = f"RabbitMQ takes no messages, for an alarm of its own ({alarm})"
        elif call.refused and call.refused == call.attempt:
            return f"RabbitMQ refused it {call.refused} times and kept nothing of it: queue {queue} is full"
        else:
            why = await self.of(queue)
        return why if call.attempt else f"{why}; it never left this client"

    async def of(self, queue: str) -> str:
        """Who could answer what lies in this queue, as far as can be told, in words."""
        look = self._looks.get(queue)
        if look is None or (look.done() and time.monotonic() >= self._stale_at[queue]):
            look = self._looks[queue] = asyncio.create_task(self._look(queue))
        seen, _ = await asyncio.wait([look], timeout=LOOK_TIMEOUT_S)  # a frozen broker holds up even its end
        return look.result() if seen else f"queue {queue} could not be looked at: RabbitMQ does not answer"

    async def _look(self, queue: str) -> str:
        try:
            return await self._seen(queue)
        finally:
            self._stale_at[queue] = time.monotonic() + FRESH_S

    async def _seen(self, queue: str) -> str:
        link = self._link
        if link.connection is None or not link.up.is_set():
            return f"not connected to RabbitMQ ({link.last_error or 'still connecting'})"
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                with loss_as_error():
                    # A channel of its own: a failed look would close the one that carries calls.
                    channel = await open_channel(link.connection)
                    try:
                        count = (await channel.queue_declare(queue, passive=True)).consumer_count
                    finally:
                        await channel.close()
        except (AMQPError, OSError) as error:
            return f"queue {queue} could not be looked at: {error!r}"
        hint = "; start one: rowcall worker" if count == 0 else ""
        return f"{count} {'worker consumes' if count == 1 else 'workers consume'} {queue}{hint}"
