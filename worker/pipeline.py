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
from worker.calls import Answer, Call, Origin, Outcome, day_of, hash_arguments, identify
from worker.dead_letters import DeadLetter, internal
from worker.errors import Verdict, judge
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


class Pipeline:
    """Answers messages, whatever carried them here."""

    def __init__(self, served: Served, database: Database, announcer: Announces, settings: WorkerSettings) -> None:
        self._served = served
        self._database = database
        self._announcer = announcer
        self._settings = settings
        self._receipts = Receipts(database, served.statements)

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
        answers = (self._answer_line(line, origin, routing_key, answered.dead) for line in lines)
        answered.replies.extend(await asyncio.gather(*answers))
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

    async def _answer_line(self, line: bytes, origin: Origin, routing_key: str, dead: list[DeadLetter]) -> bytes:
        """One line's reply; the last place where an exception can end."""
        started, shown, method, attempt = time.perf_counter(), None, "?", 1
        try:
            decoded = wire.decode_line(line)
            shown, method, attempt = decoded.id, decoded.method, decoded.attempt
            call = self._admit(decoded, origin, routing_key)
            shown = call.shown_id
            outcome = (await self._execute(call)).text
            word = "ok" if outcome.startswith('"result"') else "refused"
        except RemoteError as error:
            shown = error.request_id or shown
            outcome, word = wire.encode_error(error), error.code
        except Exception as error:
            log.exception("a bug", method=method, id=shown)
            outcome, word = self._bug(line, error, routing_key, attempt, dead), "InternalError"
        ms = round((time.perf_counter() - started) * 1000, 2)
        log.info("call", method=method, id=shown, outcome=word, ms=ms, attempt=attempt, redelivered=origin.redelivered)
        return wire.encode_reply(shown, outcome)

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

    async def _execute(self, call: Call) -> Outcome:
        """Run a call to its outcome: what is stored of it, or what it does now, tried again while that can help."""
        if call.maybe_repeat and (stored := await self._receipts.find_one(call)) is not None:
            return Outcome(stored.answer_to(call))
        pause = FIRST_PAUSE_S
        while True:
            if call.left_s <= 0:
                return await self._expired(call)
            try:
                outcome = await call.answer.run(call, self._database)
            except Exception as error:  # noqa: BLE001 - judged there; what is a bug is raised again
                settled = await self._settle(call, error)
                if settled is not None:
                    return settled
                log.warning("trying again", method=call.answer.method.name, id=call.shown_id, error=repr(error))
            else:
                self._announcer.announce(call, outcome)
                return outcome
            await asyncio.sleep(min(pause * random.uniform(0.5, 1.5), max(call.left_s, 0)))  # noqa: S311
            pause = min(pause * 2, 1.0)

    async def _settle(self, call: Call, error: Exception) -> Outcome | None:
        """What a failed run means for its call: an outcome, an exception to answer with, or None to try again."""
        write = call.answer.method.lane == "write"
        business = business_error(call.answer.method, error)
        if business is not None and write:
            text = wire.encode_error(business)
            await self._receipts.store(call, text)
            return Outcome(text)
        verdict = judge(error)
        if verdict is Verdict.REPEAT:
            stored = await self._receipts.find_one(call)
            return None if stored is None else Outcome(stored.answer_to(call))
        if verdict is Verdict.TIMEOUT:
            call.maybe_repeat = write
            return await self._expired(call) if call.left_s <= 0 else None
        if verdict is Verdict.TRANSIENT:
            call.maybe_repeat = write
            return None
        raise error if verdict is Verdict.BUG else verdict

    async def _expired(self, call: Call) -> Outcome:
        """The answer to a call whose time is up. One that may have run is fenced first, so that the answer is true."""
        if call.maybe_repeat:
            try:
                return Outcome((await self._receipts.fence(call)).answer_to(call))
            except (OSError, TimeoutError) as error:
                raise Unavailable(f"whether {call.answer.method.name} ran could not be looked up") from error
        raise DeadlineExceeded(f"{call.answer.method.name} expired before it could run; it did not and will not")

    def _bug(self, line: bytes, error: Exception, routing_key: str, attempt: int, dead: list[DeadLetter]) -> str:
        if not routing_key.startswith("write."):
            return wire.encode_error(InternalError("a bug on the worker's side; the call did not run"))
        dead.append(internal(line, error, attempt))
        message = "a bug on the worker's side; the call did not run and is kept for replay under this id"
        return wire.encode_error(InternalError(message))


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
