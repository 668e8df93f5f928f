"""``Pipeline.answer``: the bytes of a message in, the bytes of its replies out. It never raises.

decode · validate │ repeat? → stored outcome │ deadline │ BEGIN │ effect │ receipt │ COMMIT │ reply
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from rpc_client import wire
from rpc_client.errors import DeadlineExceeded, InternalError, InvalidRequest, Reason, RemoteError, Unavailable
from worker.answers import business_error
from worker.calls import Answer, Call, Origin, Outcome, Result, day_of, hash_arguments, identify
from worker.dead_letters import DeadLetter, exhausted, internal
from worker.errors import Verdict, judge
from worker.groups import Groups, run_alone
from worker.receipts import Receipts

if TYPE_CHECKING:
    from worker.database import Database
    from worker.events import Announces
    from worker.served import Served
    from worker.settings import WorkerSettings

CONTENT_TYPES = {None, "", "application/json", "application/x-ndjson"}
FIRST_PAUSE_S = 0.02

log = structlog.get_logger("rowcall.call")


@dataclass(slots=True)
class Answered:
    """A message's replies, one for every line in its order, and what of it must be kept as dead letters."""

    replies: list[bytes]
    dead: list[DeadLetter] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is no call, or none that may run."""

    method: str
    shown_id: str | None
    result: Exception


class Pipeline:
    """Answers messages, whatever carried them here."""

    def __init__(self, served: Served, database: Database, announcer: Announces, settings: WorkerSettings) -> None:
        self._served = served
        self._database = database
        self._announcer = announcer
        self._settings = settings
        self._receipts = Receipts(database, served.statements)
        self._groups = Groups(database)

    async def answer(
        self,
        body: bytes,
        origin: Origin,
        routing_key: str,
        *,
        content_type: str | None = None,
        encoding: str | None = None,
    ) -> Answered:
        """Answer every call of a message."""
        answered = Answered([])
        try:
            self._check_envelope(body, content_type, encoding)
            lines = wire.split_lines(body)
        except InvalidRequest as error:
            log.info("refused", error=error.code, reason=error.details.get("reason"))
            answered.replies.append(wire.encode_reply(None, wire.encode_error(error)))
            return answered
        started = time.perf_counter()
        slots = [self._read_line(line, origin, routing_key) for line in lines]
        await self._execute([slot for slot in slots if isinstance(slot, Call)])
        for line, slot in zip(lines, slots, strict=True):
            answered.replies.append(self._reply(line, slot, answered.dead))
            self._log(slot, started, origin)
        return answered

    def _check_envelope(self, body: bytes, content_type: str | None, encoding: str | None) -> None:
        limit = self._settings.body_bytes
        if len(body) > limit + 4096:  # the limit is on arguments; the rest of a line is small
            raise InvalidRequest(
                f"the message has {len(body)} bytes; the limit is {limit} (ROWCALL_BODY_BYTES)",
                {"reason": Reason.TOO_LARGE, "limit": limit},
            )
        if content_type not in CONTENT_TYPES:
            raise InvalidRequest(
                f"content type {str(content_type)[:64]!r} is not read here; send application/json",
                {"reason": Reason.CONTENT_TYPE},
            )
        if encoding:
            raise InvalidRequest("content encodings are not read here; send plain JSON", {"reason": Reason.ENCODING})

    def _read_line(self, line: bytes, origin: Origin, routing_key: str) -> Call | Refused:
        """A line as a call that may run, or why it may not."""
        method, shown_id = "?", None
        try:
            decoded = wire.decode_line(line)
            method, shown_id = decoded.method, decoded.id
            return self._admit(decoded, origin, routing_key)
        except RemoteError as error:
            return Refused(method, shown_id or error.request_id, error)
        except Exception as error:  # noqa: BLE001 - a bug of ours is no reason to leave a caller without an answer
            return Refused(method, shown_id, error)

    def _reply(self, line: bytes, slot: Call | Refused, dead: list[DeadLetter]) -> bytes:
        """The reply line of a result. A bug is logged, and a write that met one is kept."""
        result = slot.result
        assert result is not None
        if isinstance(result, Outcome):
            return wire.encode_reply(slot.shown_id, result.text)
        if isinstance(result, RemoteError):
            if isinstance(result, Unavailable) and isinstance(slot, Call) and slot.maybe_repeat:
                dead.append(exhausted(line, result))
            return wire.encode_reply(slot.shown_id, wire.encode_error(result))
        log.error("a bug", method=slot.method, id=slot.shown_id, exc_info=result)
        kept = isinstance(slot, Call) and slot.answer.method.lane == "write"
        if kept:
            dead.append(internal(line, result))
        told = "the call did not run and is kept for replay under this id" if kept else "the call did not run"
        return wire.encode_reply(slot.shown_id, wire.encode_error(InternalError(f"a bug on the worker's side; {told}")))

    def _log(self, slot: Call | Refused, started: float, origin: Origin) -> None:
        log.info(
            "call",
            method=slot.method,
            id=slot.shown_id,
            outcome=_word(slot.result),
            ms=round((time.perf_counter() - started) * 1000, 2),
            redelivered=origin.redelivered,
        )

    def _admit(self, line: wire.Line, origin: Origin, routing_key: str) -> Call:
        """Everything that can be known of a call before it touches the database."""
        answer = self._served.find(line.method)
        if routing_key != answer.method.routing_key:
            raise InvalidRequest(
                f"{line.method} travels under the routing key {answer.method.routing_key!r}, not {routing_key[:128]!r}",
                {"reason": Reason.WRONG_LANE},
            )
        write = answer.method.lane == "write"
        request_id = identify(line, origin, write=write)
        days = self._settings.retention_days
        return Call(
            answer=answer,
            id=request_id,
            day=day_of(request_id, now=origin.received_at, retention_days=days),
            shown_id=line.id or str(request_id),
            caller=origin.caller,
            arguments=_validated(answer, line.arguments),
            args_hash=hash_arguments(line.method, line.arguments) if write else b"",
            expires_at=self._expiry(line, origin),
            maybe_repeat=write and (origin.redelivered or line.attempt > 1),
        )

    def _expiry(self, line: wire.Line, origin: Origin) -> float:
        if line.deadline_ms is None:
            return origin.received_at + self._settings.default_deadline_s
        return min(line.deadline_ms / 1000, origin.received_at + self._settings.max_deadline_s)

    async def _execute(self, calls: list[Call]) -> None:
        """Settle each call: by what is stored of it, or by what it does now, tried again while that can help."""
        await self._recall([call for call in calls if call.maybe_repeat])
        fresh = [call for call in calls if call.result is None and call.left_s > 0]
        if fresh:
            await self._groups.run(fresh)
        for call in fresh:
            if isinstance(call.result, Outcome):
                self._announcer.announce(call, call.result)
        unsettled = [call for call in calls if not isinstance(call.result, Outcome | RemoteError)]
        if unsettled:
            await asyncio.gather(*(self._until_settled(call) for call in unsettled))

    async def _recall(self, repeats: list[Call]) -> None:
        """Answer from their receipts, in one round trip for all, the calls that ran before."""
        if not repeats:
            return
        try:
            found = await self._receipts.find(repeats)
        except Exception as error:  # noqa: BLE001 - each will meet its receipt again when it runs
            log.warning("receipts could not be looked up", error=repr(error))
            return
        for call in repeats:
            if (stored := found.get((call.day, call.id))) is not None:
                call.result = stored.answer_to(call)

    async def _until_settled(self, call: Call) -> None:
        """Judge what a call came to, and run it again while that can help."""
        pause = FIRST_PAUSE_S
        try:
            while True:
                error, call.result = call.result, None
                if error is not None:
                    call.result = await self._settle(call, error)
                if call.result is None and call.left_s <= 0:
                    call.result = await self._expired(call)
                if call.result is not None:
                    return
                log.warning("trying again", method=call.method, id=call.shown_id, error=repr(error))
                await asyncio.sleep(min(pause * random.uniform(0.5, 1.5), max(call.left_s, 0)))  # noqa: S311
                pause = min(pause * 2, 1.0)
                await run_alone([call], self._database)
                if isinstance(call.result, Outcome):
                    self._announcer.announce(call, call.result)
                    return
        except Exception as error:  # noqa: BLE001 - every call gets its answer, and the worker lives
            call.result = error

    async def _settle(self, call: Call, error: Result) -> Result | None:
        """What a failed run means for its call: what to answer, or None to try again."""
        assert isinstance(error, Exception)
        business = business_error(call.answer.method, error)
        if business is not None and call.answer.method.lane == "write":
            try:
                return await self._receipts.store(call, wire.encode_error(business))
            except Exception as again:  # noqa: BLE001 - then that decides
                error = again
        verdict = judge(error)
        if verdict is Verdict.REPEAT:
            stored = await self._receipts.find_one(call)
            return None if stored is None else stored.answer_to(call)
        if verdict in {Verdict.TIMEOUT, Verdict.TRANSIENT}:
            call.maybe_repeat = call.answer.method.lane == "write"
            return None
        return verdict if isinstance(verdict, RemoteError) else error

    async def _expired(self, call: Call) -> Result:
        """The answer to a call whose time is up. One that may have run is fenced first, so that the answer is true."""
        if call.maybe_repeat:
            try:
                return (await self._receipts.fence(call)).answer_to(call)
            except Exception as error:  # noqa: BLE001 - whatever kept it from being known
                log.warning(
                    "an outcome could not be looked up", method=call.method, id=call.shown_id, error=repr(error)
                )
                return Unavailable(f"whether {call.method} ran could not be looked up: the database is away")
        return DeadlineExceeded(f"{call.method} expired before it could run; it did not and will not")


def _word(result: Result | None) -> str:
    """What became of a call, in a word for the log."""
    if isinstance(result, Outcome):
        return "ok" if result.text.startswith('"result"') else "refused"
    return result.code if isinstance(result, RemoteError) else "InternalError"


def _validated(answer: Answer, arguments: bytes) -> dict[str, object]:
    """The arguments as the contract's types, defaults filled in. InvalidRequest names the first that does not fit."""
    model = answer.method.arguments
    try:
        valid = model.model_validate_json(arguments, strict=True)
    except ValidationError as error:
        raise _misfit(answer, error) from None
    return {name: getattr(valid, name) for name in answer.method.parameters}


def _misfit(answer: Answer, error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = answer.method.name
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing" and len(first["loc"]) == 1:
        message, reason = (
            f"{name}: argument {path!r} is missing; it takes {answer.method.shown_signature}",
            Reason.MISSING_ARGUMENT,
        )
    elif first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        message, reason = (
            f"{name}: there is no argument {path[:128]!r}; it takes {answer.method.shown_signature}",
            Reason.UNKNOWN_ARGUMENT,
        )
    else:
        message, reason = f"{name}: argument {path!r}: {first['msg']}", Reason.INVALID_ARGUMENT
    argument = str(first["loc"][0]) if first["loc"] else None
    return InvalidRequest(message, {"reason": reason, "argument": argument, "path": path})
