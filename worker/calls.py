"""``Call``: one call in hand. Who asks for what, under which id, until when, and how it is answered."""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4, uuid5

import orjson

from rpc_client.contract.rowcall import Rowcall
from rpc_client.errors import InvalidRequest, Reason
from rpc_client.wire import REQUEST_NAMESPACE, UUID_PATTERN, Line

if TYPE_CHECKING:
    from rpc_client.contract import Method
    from worker.database import Database

OTHER_IDS_DAY = date(1970, 1, 1)
"""The day of every id that carries none of its own."""
EARLY_S = 3600
"""How far a client's clock may be ahead."""
UUID_SHAPE = re.compile(UUID_PATTERN)
_EPOCH = OTHER_IDS_DAY.toordinal()


@dataclass(frozen=True, slots=True)
class Replay:
    """A dead letter that is sent again: what holds in place of what its line says."""

    deadline_ms: int | None
    """Milliseconds since 1970."""
    request_id: str | None
    """A UUID in lower case: the id of a line without one, or the one under which a line is run anew."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from, as the broker tells it."""

    caller: str
    """The broker's own word for who sent it; empty when the sender did not say."""
    reply_to: str | None
    correlation_id: str | None
    message_id: str | None
    redelivered: bool
    received_at: float = field(default_factory=time.time)
    time_s: float = math.inf
    """How long the broker would keep the message; its calls get no more, whatever their deadlines say."""
    replay: Replay | None = None
    """What its headers say, of a call that is replayed."""


@dataclass(slots=True)
class Call:
    """One call: validated, identified, ready to run."""

    line: bytes
    """Itself, as it was sent."""
    answer: Answer
    id: str
    """A UUID in lower case."""
    day: date
    shown_id: str
    caller: str
    arguments: dict[str, Any]
    args_hash: bytes
    expires_at: float
    """By our clock."""
    maybe_repeat: bool
    replayed: bool = False
    """Whether an operator sent it again: its own caller was answered long ago."""
    awaited: bool = True
    """Whether somebody waits for its answer."""
    ahead_s: float = 0.0
    """How far ahead of ours the database's clock is."""
    attempt: int = 1
    """Which attempt of its sender's it is."""
    deadline_ms: int | None = None
    """Its deadline as it was sent, by whatever clock that was."""
    suspect: bool = False
    """Whether its message was delivered before: whoever had it then may have died of it."""
    message_id: str = ""
    """What its message is called; it comes again under the same name."""
    noted_before: tuple[int, int] = (0, 0)
    """How many losses of its message were noted, and count, when it was noted last that it begins to run."""
    result: Result | None = None
    """What it came to; None while it has not run."""

    @property
    def left_s(self) -> float:
        """The time left until its deadline; negative after it."""
        return self.expires_at - time.time()

    @property
    def method(self) -> str:
        """Its method's name on the wire."""
        return self.answer.method.name

    @property
    def fences(self) -> bool:
        """Whether it forbids another call to run: a read, but one that may have changed something unheard."""
        return self.answer.method is Rowcall.outcome and bool(self.arguments["fence"])

    @property
    def order(self) -> tuple[str, str]:
        """Where it stands in a group of writes: they lock rows in one order everywhere."""
        key = self.answer.method.locks
        return ("" if key is None else str(self.arguments[key]), self.id)

    def receipt_values(self) -> dict[str, object]:
        """What its receipt says of it, by the names the statements use."""
        return {
            "_day": self.day,
            "_id": self.id,
            "_caller": self.caller,
            "_method": self.answer.method.name,
            "_args_hash": self.args_hash,
            "_deadline": datetime.fromtimestamp(self.expires_at + self.ahead_s, UTC),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call: the reply line after its id, and the events it committed."""

    text: str
    events: str | None = None
    seq: int | None = None
    at: datetime | None = None


Result = Outcome | Exception


class Answer(Protocol):
    """How one method is answered."""

    @property
    def method(self) -> Method[..., Any]: ...

    @property
    def together(self) -> bool:
        """Whether several calls may run as one."""

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:
        """What became of each. Raises when all of them failed; several only where they may run together."""


def hash_arguments(method: str, arguments: bytes) -> bytes:
    """What tells two calls under one id apart: BLAKE2b-128 of the method and of its arguments, keys sorted."""
    return hashlib.blake2b(method.encode() + b"\n" + arguments, digest_size=16).digest()


def identify(line: Line, origin: Origin, *, write: bool) -> str:
    """The call's id: its own, or one made of what makes the message recognisable when it is delivered again."""
    if origin.replay is not None and origin.replay.request_id is not None:
        return origin.replay.request_id
    if line.id is not None:
        if not UUID_SHAPE.fullmatch(line.id):
            raise InvalidRequest("'id' must be a UUID, as in 0198c5a4-…", {"reason": Reason.REQUEST_ID})
        return line.id.lower()
    if origin.correlation_id or origin.message_id:
        marks = [origin.caller, origin.reply_to, origin.correlation_id, origin.message_id]
        return str(uuid5(REQUEST_NAMESPACE, orjson.dumps(marks).decode()))
    if write:
        raise InvalidRequest(
            "a write needs an 'id' in its line, or an AMQP correlation_id or message_id, so that it runs only once",
            {"reason": Reason.REQUEST_ID_REQUIRED},
        )
    return str(uuid4())


def made_at(request_id: str) -> float | None:
    """The moment inside a UUIDv7, on the clock of ``time.time``; None for every other id."""
    if request_id[14] != "7" or request_id[19] not in "89ab":
        return None
    return int(request_id[:8] + request_id[9:13], 16) / 1000


def mark_of(line: bytes, origin: Origin) -> str:
    """An id for a line that has none: the same whenever its message is delivered again."""
    marks = [origin.caller, origin.reply_to, origin.correlation_id, origin.message_id]
    digest = hashlib.blake2b(line, digest_size=16).hexdigest()
    return str(uuid5(REQUEST_NAMESPACE, orjson.dumps([*marks, digest]).decode()))


def day_of(request_id: str, *, now: float, retention_days: int) -> date:
    """The day under which a write's id is remembered. InvalidRequest for a UUIDv7 that is too old to be recognised."""
    made = made_at(request_id)
    if made is None:
        return OTHER_IDS_DAY
    if not now - retention_days * 86400 < made < now + EARLY_S:
        raise InvalidRequest(
            f"the time inside 'id' must lie within the last {retention_days} days (ROWCALL_RETENTION_DAYS):"
            " what is older is forgotten, and a new call needs a new id"
            + (", made by a clock that is not ahead" if made >= now + EARLY_S else ""),
            {"reason": Reason.REQUEST_ID_DAY, "limit": retention_days},
        )
    return date.fromordinal(_EPOCH + int(made // 86400))
