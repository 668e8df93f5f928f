"""Calls that wait for their replies, and how they are put together into messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from rpc_client import wire
from rpc_client.endings import reused


@dataclass(slots=True)
class Pending:
    """A call that somebody waits for."""

    id: str
    method: str
    lane: str
    arguments: bytes
    expires_at: float
    """On the clock of ``time.monotonic``: nobody sets that one."""
    alone: bool = False
    """It travels alone: a message goes to one worker, and companions would wait for it there, or be lost with it."""
    sent: bool = False
    """Nobody waits for its outcome: it travels without a reply address, and the broker's confirmation is its reply."""
    chosen: bool = False
    """Its caller gave it its id, and may have sent it before: an answer may be to an earlier attempt of his."""
    attempt: int = 0
    losses: int = 0
    unnoted: int = 0
    """How often a worker was lost that had it, as far as was told; and how often none could note that."""
    refused: int = 0
    returned: int = 0
    """How many attempts the broker has refused, and how many no queue took: of those it kept nothing."""
    issued_at: float = field(default_factory=time.monotonic)
    ahead_s: float = 0.0
    """How far ahead of ours the clock was taken to be by which its deadline travelled last."""
    deadline_ms: int = 0
    """As it travelled last: with the attempt it tells this publish from all others under its id."""
    reply: asyncio.Future[wire.Reply] = field(init=False)
    """Made by whatever carries it: the call itself may be made in another thread."""

    @property
    def left_s(self) -> float:
        """The time left until its deadline."""
        return self.expires_at - time.monotonic()

    @property
    def may_have_run(self) -> bool:
        """Whether the broker may have kept an attempt of it."""
        return self.attempt > self.refused + self.returned

    def follow(self, other: Pending) -> None:
        """Go on counting where this one, which is the same call, has got to."""
        if other.attempt > self.attempt:
            self.attempt, self.refused, self.returned = other.attempt, other.refused, other.returned

    def confirm(self) -> None:
        """The broker has it, which is all there is to tell of one whose outcome nobody waits for."""
        if not self.reply.done():
            self.reply.set_result(wire.Reply(self.id, b"null", None))

    def line(self, ahead_s: float = 0.0) -> bytes:
        """Itself as it travels now: its deadline by the clock that is set everywhere, so far ahead of ours."""
        self.ahead_s = ahead_s
        self.deadline_ms = int((time.time() + ahead_s + self.left_s) * 1000)
        return wire.encode_call(self.id, self.method, self.arguments, self.deadline_ms, self.attempt)


async def joined(first: Pending, call: Pending) -> wire.Reply | None:
    """Wait with the same call that is on its way already, under the same id; None when that ended without a reply.

    It may have been cancelled, or have had less time; and that the broker has it is no outcome for one that waits.
    TimeoutError at this one's deadline.
    """
    if (first.method, first.arguments) != (call.method, call.arguments):
        raise reused(call, first.method)
    ended, _ = await asyncio.wait([first.reply], timeout=max(call.left_s, 0))
    if not ended:
        raise TimeoutError
    call.follow(first)
    if first.reply.cancelled() or isinstance(first.reply.exception(), TimeoutError):
        return None
    return None if first.sent and not call.sent else first.reply.result()


def parcels(calls: list[Pending]) -> Iterator[list[Pending]]:
    """Calls of one method, put together as far as a message may go: by number, by size, and some alone.

    A message has one reply address, so those that want a reply and those that want none travel apart.
    """
    parcel: list[Pending] = []
    size = 0
    for call in calls:
        grown = size + len(call.arguments) + wire.LINE_OVERHEAD
        full = len(parcel) == wire.MAX_CALLS or grown > wire.MAX_PARCEL_BYTES
        apart = parcel and (call.alone or parcel[-1].alone or call.sent is not parcel[-1].sent)
        if parcel and (full or apart):
            yield parcel
            parcel, size = [], 0
        parcel.append(call)
        size += len(call.arguments) + wire.LINE_OVERHEAD
    if parcel:
        yield parcel
