"""``Planner``: what a replay would do with each letter, and why not."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils import uuid7

from rpc_client.clocks import Clock
from rpc_client.contract import Method
from rpc_client.errors import InvalidRequest, Reason
from worker.admission import Admission, Refused
from worker.calls import EARLY_S, Call, Origin, Replay, day_of, made_at
from worker.desk.reading import Reading
from worker.desk.records import Action, Step
from worker.desk.shelf import Kept, Shelf, Stands
from worker.keys import UnreadableError
from worker.receipts import replaced_by
from worker.served import Served
from worker.settings import WorkerSettings

_SETTLED: dict[str, Action] = {"resolved": "done", "fenced": "fenced", "discarded": "discarded", "replaced": "replaced"}


@dataclass(frozen=True, slots=True)
class Sendable:
    """A letter that may be sent."""

    kept: Kept
    line: bytes
    method: Method[..., Any]
    fresh_id: UUID | None
    """The id to send it under, where its own is too old to be recognised."""
    fence: Mapping[str, object]
    """By which its own id may never run, where it gets another."""

    @property
    def run_id(self) -> UUID:
        """The id it runs under, as things stand."""
        return self.fresh_id or self.kept.run_id


@dataclass(frozen=True, slots=True)
class Planned:
    """A letter and what is to be done with it."""

    step: Step
    sendable: Sendable | None
    """None where it is not sent."""
    settled: str | None = None
    """The word of its receipt, where that has settled it and the letter does not say so yet."""


class Planner:
    """Judges letters by their state, their receipts, and what is served now."""

    def __init__(self, shelf: Shelf, reading: Reading, served: Served, settings: WorkerSettings) -> None:
        self._shelf = shelf
        self._reading = reading
        self._settings = settings
        self._admission = Admission(served, settings)

    async def plan(self, numbers: Sequence[int]) -> list[Planned]:
        """What is to be done with each of these letters, oldest first."""
        rows = await self._shelf.read(numbers)
        receipts = await self._shelf.receipts(numbers)
        return [self._judged(kept, receipts.get(kept.letter.number)) for kept in rows]

    def _judged(self, kept: Kept, stands: Stands | None) -> Planned:
        letter = kept.letter
        if letter.state in _SETTLED:
            heir = f"by {kept.heir}" if letter.state == "replaced" and kept.heir else letter.outcome or ""
            return _not_sent(kept, _SETTLED[letter.state], heir)
        if stands is not None:
            return _by_receipt(kept, stands)
        try:
            line = self._reading.line(kept)
        except UnreadableError as error:
            return _not_sent(kept, "unreadable", str(error))
        fresh_id = UUID(str(uuid7())) if self._is_forgotten(kept.run_id, letter.first_at) else None
        admitted = self.admitted(kept, line, fresh_id or kept.run_id)
        if isinstance(admitted, Refused):
            return _not_sent(kept, *_unfit(admitted))
        if letter.replays >= self._settings.max_replays:
            why = f"replayed {letter.replays} times (ROWCALL_MAX_REPLAYS): a loop is stopped"
            return _not_sent(kept, "too often", why)
        why = "" if fresh_id is None else "under a new id: its own is too old to be recognised"
        fence = {} if fresh_id is None else fence_of(kept, fresh_id, self._settings.retention_days)
        return Planned(_step(kept, "send", why), Sendable(kept, line, admitted.answer.method, fresh_id, fence))

    def admitted(self, kept: Kept, line: bytes, run_id: UUID) -> Call | Refused:
        """This line as a worker would read it, in the place of the letter's own."""
        origin = replayed(kept.letter.caller, run_id, self._settings.timeout_s, Clock())
        try:
            (slot,) = self._admission.admit([line], origin, kept.routing_key)
        except InvalidRequest as error:
            return Refused(line, kept.letter.method, None, error)
        return slot

    def _is_forgotten(self, request_id: UUID, first_at: datetime) -> bool:
        """Whether a worker would not recognise this id as one that has run."""
        now, made = time.time(), made_at(str(request_id))
        if made is None:
            made = first_at.timestamp()
        oldest = now - self._settings.retention_days * 86400
        return not oldest < made < now + EARLY_S


def replayed(caller: str, run_id: UUID, timeout_s: float, clock: Clock) -> Origin:
    """Where a replay comes from that begins now, as a worker with this clock sees it."""
    deadline_ms = int((clock.now() + timeout_s) * 1000)
    return Origin(caller, "desk", None, None, redelivered=False, replay=Replay(deadline_ms, str(run_id)))


def fence_of(kept: Kept, other: UUID, retention_days: int) -> dict[str, object]:
    """What a receipt says by which this id takes the place of a letter's; nothing where no worker takes that."""
    run_id, letter = str(kept.run_id), kept.letter
    try:
        day = day_of(run_id, now=time.time(), retention_days=retention_days)
    except InvalidRequest:
        return {}
    known = {"_caller": letter.caller, "_method": letter.method, "_args_hash": kept.args_hash}
    # The letter itself goes on, under another id.
    return {"_day": day, "_id": run_id, **known, "outcome": replaced_by(other), "letters": "none"}


def _by_receipt(kept: Kept, stands: Stands) -> Planned:
    if not stands.same_call and stands.fence is None:
        return _not_sent(kept, "taken", "its id is another call's")
    step = _step(kept, "done", stands.word) if stands.fence is None else _step(kept, "fenced", "")
    return Planned(step, None, stands.word)


def _unfit(refused: Refused) -> tuple[Action, str]:
    words: dict[str | None, Action] = {Reason.MALFORMED: "unreadable", Reason.UNKNOWN_METHOD: "unknown method"}
    details = getattr(refused.result, "details", {})
    return words.get(details.get("reason"), "misfit"), str(refused.result)


def _step(kept: Kept, action: Action, why: str) -> Step:
    return Step(kept.letter.number, kept.letter.id, kept.letter.method, action, why)


def _not_sent(kept: Kept, action: Action, why: str) -> Planned:
    return Planned(_step(kept, action, why), None)
