"""What the desk tells of dead letters, and what it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

Reason = Literal["malformed", "internal", "poison", "exhausted", "expired"]
State = Literal["open", "replaying", "resolved", "fenced", "discarded", "replaced"]
WAITING: tuple[State, ...] = ("open", "replaying")
"""The states in which a letter still wants something of somebody."""

Action = Literal[
    "send", "done", "fenced", "discarded", "replaced", "taken", "unreadable", "unknown method", "misfit", "too often"
]
"""What a replay would do with a letter: send it, or why not."""


class DeskError(Exception):
    """The desk cannot do what it was asked to; the message says why. Nothing was changed by this step."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which letters are meant: those to which all of it applies. Without anything, all."""

    numbers: Sequence[int] | None = None
    method: str | None = None
    """A name on the wire, in which ``*`` stands for anything and ``?`` for one character."""
    reason: Reason | None = None
    error: str | None = None
    """Text in the error, in any case."""
    fingerprint: str | None = None
    """What it begins with."""
    states: Sequence[State] | None = None
    caller: str | None = None
    id: UUID | None = None
    older_than: timedelta | None = None
    """By when the call last failed."""
    newer_than: timedelta | None = None
    text: str | None = None
    """Text in the error, the traceback or the call, as they are shown: secrets are not searched. Every letter is
    unsealed for it."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One call that failed and is kept: what of it lies in plain columns."""

    number: int
    """For people: it names the letter in this database."""
    id: UUID
    """The call's request id, or one made of what its message was marked with."""
    caller: str
    method: str
    reason: Reason
    error: str
    fingerprint: str
    """The same for letters of one cause."""
    attempts: int
    first_at: datetime
    last_at: datetime
    worker: str
    state: State
    replay_id: UUID | None
    """The id under which it is replayed, where that cannot be its own."""
    replays: int
    replayed_at: datetime | None
    outcome: str | None
    """What the last replay came to: ``done``, or the error's word."""
    parent: int | None
    """The letter this one was made of, by changing an argument."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done to a letter, and by whom."""

    at: datetime
    actor: str
    action: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything there is to see of a letter."""

    letter: Letter
    call: dict[str, Any] | None
    """Its line, secrets as ``***``; None where it cannot be read or shown."""
    hidden: str | None
    """Why the call is not shown."""
    traceback: str
    deeds: Sequence[Deed]
    """What was done to it, oldest first."""


@dataclass(frozen=True, slots=True)
class Group:
    """Letters of one cause."""

    fingerprint: str
    count: int
    first_at: datetime
    last_at: datetime
    method: str
    reason: Reason
    error: str
    """That of the sample."""
    sample: int
    """The number of the newest."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a replay does with one letter, did with it, or would do."""

    number: int
    id: UUID
    method: str
    action: Action
    why: str
    """For people; empty where there is nothing to add."""
    outcome: str | None = None
    """``done``, the error's word, or ``unheard``: no answer came, and the letter stays ``replaying``."""
    told: str = ""
    """The answer itself, in short."""
    failed: bool = False
    """Whether it came to nothing: a bug, infrastructure that is away, silence. A business error is an outcome."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of many letters."""

    steps: Sequence[Step] = field(default_factory=tuple)
    stopped: str | None = None
    """Why it ended early; None when it did not."""
    left: int = 0
    """How many letters it did not come to, because it ended early."""

    @property
    def outcomes(self) -> Counter[str]:
        """How many were answered how."""
        return Counter(step.outcome for step in self.steps if step.outcome is not None)

    @property
    def actions(self) -> Counter[str]:
        """How many were to be sent, and how many were not, by why."""
        return Counter(step.action for step in self.steps)

    @property
    def failures(self) -> int:
        """How many came to nothing."""
        return sum(step.failed for step in self.steps)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import came to."""

    added: Sequence[int]
    """The numbers the letters got here."""
    known: int
    """How many were kept here already."""
