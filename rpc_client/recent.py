"""``Recent``: which call an id was answered for, as long as another copy of that answer may come.

A call that was sent again is answered again. To a different call under its id, which may be waiting by then, that
answer would look like its own.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from rpc_client.endings import reused
from rpc_client.errors import OutcomeUnknown

if TYPE_CHECKING:
    from rpc_client.parcels import Pending

AFTER_S = 60.0
"""For so long after a call's deadline its worker may be finding words for it."""
MOST = 10_000
"""So many are remembered; beyond, the oldest are forgotten."""


class Recent:
    """Which calls the ids belong to that their callers chose. Of arguments, which may be large, it keeps a digest."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, str, bytes]] = {}
        """By id, in the order of their ends: until when, the method, the digest."""

    def add(self, call: Pending) -> None:
        """Remember whose this id is, unless the call surely did not run: that left the id free."""
        if not call.chosen or _left_free(call):
            return
        self._known.pop(call.id, None)
        self._known[call.id] = call.expires_at + AFTER_S, call.method, _digest(call)
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def check(self, call: Pending) -> None:
        """IdempotencyKeyReused when a different call was made under this one's id a short time ago."""
        if not call.chosen or (known := self._known.get(call.id)) is None:
            return
        until, method, digest = known
        if until > time.monotonic() and (method, digest) != (call.method, _digest(call)):
            raise reused(call, method)


def _left_free(call: Pending) -> bool:
    """Whether it ended with an error after which its id may be another call's."""
    if not call.reply.done() or call.reply.cancelled():
        return False
    if (error := call.reply.exception()) is not None:
        return not isinstance(error, TimeoutError | OutcomeUnknown)
    return call.reply.result().error is not None


def _digest(call: Pending) -> bytes:
    return hashlib.blake2b(call.arguments, digest_size=16).digest()
