"""``Recent``: which call an id was answered for, as long as another copy of that answer may come.

A call that was sent again is answered again. To a different call under its id, which may be waiting by then, that
answer would look like its own.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from rpc_client.endings import check_same

if TYPE_CHECKING:
    from rpc_client.parcels import Pending

AFTER_S = 60.0
"""For so long after a call's deadline its worker may be finding words for it."""


def _refused(call: Pending) -> bool:
    answered = call.reply.done() and not call.reply.cancelled() and call.reply.exception() is None
    return answered and call.reply.result().error is not None


class Recent:
    """The calls under ids that their callers chose: no others are asked for again."""

    def __init__(self) -> None:
        self._calls: dict[str, Pending] = {}
        self._order: deque[Pending] = deque()

    def add(self, call: Pending) -> None:
        """Remember whose this id is, unless the call was refused: that left the id free."""
        if not call.chosen or _refused(call):
            return
        now = time.monotonic()
        while self._order and self._order[0].expires_at + AFTER_S < now:
            old = self._order.popleft()
            if self._calls.get(old.id) is old:
                del self._calls[old.id]
        self._calls[call.id] = call
        self._order.append(call)

    def check(self, call: Pending) -> None:
        """IdempotencyKeyReused when a different call was made under this one's id a short time ago."""
        if call.chosen and (known := self._calls.get(call.id)) is not None:
            check_same(call, known)
