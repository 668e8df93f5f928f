"""``Losses``: reads whose worker was lost go again, each in a message of its own and one after the other.

No worker runs a read that was delivered before: it may be what the other one died of. It is answered so, and whoever
sent it decides. One that takes its workers down is given three, as they note, and takes nobody else's calls along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from rpc_client.errors import InternalError, Reason, Unavailable
from rpc_client.turns import Turns
from rpc_client.wire import Reply

if TYPE_CHECKING:
    from rpc_client.parcels import Pending

MAX_UNNOTED = 6
"""So often at most a read is lost where no worker could note it. Those that can, know whether they died of it."""
PAUSE_S = 1.0
"""So long at most it waits when it was lost twice: whatever took the others down, if not this, may be done by then."""


class Losses:
    """Sends again what was lost. `spawn` runs in the background, `send` puts one call on its way."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], None], send: Callable[[Pending], None]) -> None:
        self._spawn = spawn
        self._send = send
        self._turns = Turns()
        self._flying: dict[str, asyncio.Future[None]] = {}
        """Those that were sent again, by their ids; done when they are lost once more."""

    def judge(self, call: Pending, reply: Reply) -> Reply | None:
        """What to tell of a call that was answered with an error: that, or None where it goes again first."""
        if not _tells_of_a_loss(reply):
            return reply
        if (lost := self._flying.pop(call.id, None)) is not None:
            lost.set_result(None)
        call.alone = True
        call.losses += 1
        call.unnoted += not _is_noted(reply)
        if call.unnoted < MAX_UNNOTED:
            self._spawn(self._again(call, call.attempt))
            return None
        message = (
            f"{MAX_UNNOTED} workers that had {call.method} were lost, or stopped, and none noted it; no other gets it"
        )
        error = {"error": InternalError.__name__, "message": message, "details": {"reason": Reason.POISON}}
        return Reply(call.id, None, error)

    async def _again(self, call: Pending, attempt: int) -> None:
        """Send it when its turn comes, unless a new connection has done so, and wait until its end is known."""
        if call.losses > 1:
            await asyncio.sleep(min(PAUSE_S, call.left_s / 4))
        async with self._turns.take(asyncio.get_running_loop().time() + call.left_s / 2):
            if call.attempt != attempt or call.reply.done():
                return
            lost = self._flying[call.id] = asyncio.get_running_loop().create_future()
            self._send(call)
            await asyncio.wait([call.reply, lost], return_when=asyncio.FIRST_COMPLETED)
            if self._flying.get(call.id) is lost:
                del self._flying[call.id]


def _tells_of_a_loss(reply: Reply) -> bool:
    error = reply.error or {}
    return error.get("error") == Unavailable.__name__ and _details(reply).get("reason") == Reason.REDELIVERED


def _is_noted(reply: Reply) -> bool:
    """Whether a worker wrote down that another was lost with it."""
    return _details(reply).get("noted") is True


def _details(reply: Reply) -> Mapping[str, object]:
    details = (reply.error or {}).get("details")
    return details if isinstance(details, Mapping) else {}
