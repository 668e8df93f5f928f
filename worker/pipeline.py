"""``Pipeline.answers``: the bytes of a message in, the bytes of its replies out. It never raises.

decode · validate │ repeat? → stored outcome │ deadline │ BEGIN │ effect │ receipt │ COMMIT │ reply
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from pydantic_core import from_json

from rpc_client import wire
from rpc_client.clocks import NOW
from rpc_client.errors import (
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    RemoteError,
    ResultTooLarge,
    Unavailable,
)
from worker.admission import Admission, Refused, check_envelope
from worker.answers import business_error, expired
from worker.calls import UUID_SHAPE, Call, Origin, Outcome, Result
from worker.dead_letters import DeadLetter, error_text, traceback_text
from worker.errors import Verdict, is_schema_change, judge
from worker.groups import Groups, run_alone
from worker.logs import log_calls
from worker.receipts import Receipts
from worker.redaction import secrets_of, takes_secrets

if TYPE_CHECKING:
    from worker.database import Database
    from worker.events import Announces
    from worker.served import Served
    from worker.settings import WorkerSettings

FIRST_PAUSE_S = 0.02

log = structlog.get_logger("rowcall.call")


@dataclass(slots=True)
class Answered:
    """Replies to lines of a message, and what of them must be kept as dead letters."""

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
        self._groups = Groups(database)
        self._admission = Admission(served, settings, database.clock)

    async def answer(self, body: bytes, origin: Origin, routing_key: str) -> Answered:
        """Answer every call of a message."""
        whole = Answered([])
        async for part in self.answers(body, origin, routing_key):
            whole.replies += part.replies
            whole.dead += part.dead
        return whole

    async def answers(
        self,
        body: bytes,
        origin: Origin,
        routing_key: str,
        *,
        content_type: str | None = None,
        encoding: str | None = None,
    ) -> AsyncGenerator[Answered, None]:
        """Answer every call of a message: nearly always all at once, large answers in portions as they are ready."""
        started = time.perf_counter()
        try:
            check_envelope(body, content_type, encoding, self._settings)
            lines = wire.split_lines(body, self._settings.message_calls)
            slots = self._admission.admit(lines, origin, routing_key)
        except InvalidRequest as error:
            yield refused(body, origin, error)
            return
        portions = self._groups.portions([slot for slot in slots if isinstance(slot, Call)])
        if len(portions) > 1:
            running = [asyncio.create_task(self._settled(portion)) for portion in portions]
            try:
                for settled in asyncio.as_completed(running):
                    yield self._answered(await settled, started, origin)
            finally:
                for task in running:  # whoever asked has gone; the message will be delivered again
                    task.cancel()
            slots = [slot for slot in slots if isinstance(slot, Refused)]
        else:
            for portion in portions:
                await self._settled(portion)
        if slots:
            yield self._answered(slots, started, origin)

    def _answered(self, slots: Sequence[Call | Refused], started: float, origin: Origin) -> Answered:
        """The replies to lines that are done with, and a line in the log for each."""
        answered = Answered([])
        answered.replies += [self._reply(slot, answered.dead) for slot in slots]
        if origin.reply_to is None:
            answered.dead += [letter for slot in slots if (letter := self._untold(slot)) is not None]
        log_calls(
            [self._logged(slot) for slot in slots],
            ms=round((time.perf_counter() - started) * 1000, 2),
            redelivered=origin.redelivered,
        )
        return answered

    def _reply(self, slot: Call | Refused, dead: list[DeadLetter]) -> bytes:
        """The reply line of a result. A bug is logged, and a write that met one is kept."""
        result = slot.result
        assert result is not None
        if isinstance(result, Outcome):
            return wire.encode_reply(slot.shown_id, result.text)
        if isinstance(result, RemoteError):
            if isinstance(result, DeadlineExceeded):
                result.details[NOW] = int(self._database.clock.now() * 1000)
            if isinstance(result, Unavailable) and isinstance(slot, Call) and slot.maybe_repeat:
                dead.append(self._letter(slot, "exhausted", result))
            return wire.encode_reply(slot.shown_id, wire.encode_error(result))
        where = traceback_text(result, self._secrets(slot))
        log.error("a bug", **self._named(slot), exception=where)
        told, answer = "the call did not run", self._served.answers.get(slot.method)
        if answer is not None and answer.method.lane == "write":
            dead.append(self._letter(slot, "internal", result, where))
            first = isinstance(slot, Call) and not slot.maybe_repeat
            told = f"{told} and" if first else "whether the call ran before is not known; it"
            told += " is kept for replay under this id"
        return wire.encode_reply(slot.shown_id, wire.encode_error(InternalError(f"a bug on the worker's side; {told}")))

    def _untold(self, slot: Call | Refused) -> DeadLetter | None:
        """What is kept of a call that left nothing behind, and whose error nobody waits for."""
        result = slot.result
        if isinstance(result, InvalidRequest):
            return self._letter(slot, "malformed", result)
        tried = isinstance(slot, Call) and slot.maybe_repeat
        if isinstance(result, DeadlineExceeded):
            return self._letter(slot, "exhausted" if tried else "expired", result)
        if isinstance(result, Unavailable) and tried:
            return None  # kept already, as one that may have run
        return self._letter(slot, "exhausted", result) if isinstance(result, Unavailable | ResultTooLarge) else None

    def _letter(self, slot: Call | Refused, reason: str, error: Exception, where: str = "") -> DeadLetter:
        request_id = slot.id if isinstance(slot, Call) else None
        return DeadLetter(slot.line, reason, error_text(error, self._secrets(slot)), where, request_id)

    def _secrets(self, slot: Call | Refused) -> tuple[str, ...]:
        """What of this call nobody may read in an error."""
        answer = self._served.answers.get(slot.method)
        if answer is None or not takes_secrets(answer.method):
            return ()
        return secrets_of(answer.method, from_json(slot.line).get("args", {}))

    def _logged(self, slot: Call | Refused) -> dict[str, object]:
        """What the log says of a call."""
        return {**self._named(slot), "outcome": _word(slot.result)}

    def _named(self, slot: Call | Refused) -> dict[str, str | None]:
        """Which call it is. Of a line that was refused, nothing that only its sender says."""
        method, shown_id = slot.method, slot.shown_id
        if isinstance(slot, Refused):
            method = method if method in self._served.answers else "?"
            shown_id = shown_id if shown_id is not None and UUID_SHAPE.fullmatch(shown_id) else None
        return {"method": method, "id": shown_id}

    async def _settled(self, calls: Sequence[Call]) -> Sequence[Call]:
        """Settle each call: by what is stored of it, or by what it does now, tried again while that can help."""
        await self._recall([call for call in calls if call.maybe_repeat])
        now = time.time()
        unknown = [call for call in calls if call.result is None]
        fresh = [call for call in unknown if call.expires_at > now]
        if fresh:
            await self._groups.run(fresh)
        for call in fresh:
            if isinstance(call.result, Outcome):
                self._announcer.announce(call, call.result)
        # That a run did not happen settles a call only where no other run of it may have.
        unsettled = [
            call
            for call in unknown
            if not isinstance(call.result, Outcome) and (call.maybe_repeat or not isinstance(call.result, RemoteError))
        ]
        if unsettled:
            await asyncio.gather(*(self._until_settled(call) for call in unsettled))
        return calls

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
        """Judge what a call came to, and run it again while that can help.

        What turns out to have happened is announced too where it may be this worker's own doing, in a run whose end it
        never heard. So an event may be told live twice, under the same id; better than not at all.
        """
        pause = FIRST_PAUSE_S
        try:
            while True:
                found, call.result = call.result, None
                if found is not None:
                    call.result = found if isinstance(found, Outcome) else await self._settle(call, found)
                if call.result is None and call.left_s <= 0:
                    call.result = await self._ruled_out(call, expired(call))
                if isinstance(call.result, Outcome) and (call.maybe_repeat or isinstance(found, Outcome)):
                    self._announcer.announce(call, call.result)
                if call.result is not None:
                    return
                log.warning("trying again", method=call.method, id=call.shown_id, error=repr(found))
                await asyncio.sleep(min(pause * random.uniform(0.5, 1.5), max(call.left_s, 0)))  # noqa: S311
                pause = min(pause * 2, 1.0)
                await run_alone([call], self._database)
        except Exception as error:  # noqa: BLE001 - every call gets its answer, and the worker lives
            call.result = error

    async def _settle(self, call: Call, error: Exception) -> Result | None:
        """What a failed run means for its call: what to answer, or None to try again."""
        business = business_error(call.answer.method, error)
        if business is not None and call.answer.method.lane == "write":
            try:
                return await self._receipts.store(call, wire.encode_error(business))
            except Exception as again:  # noqa: BLE001 - then that decides
                error = again
        verdict = judge(error)
        if verdict is Verdict.REPEAT:
            try:
                stored = await self._receipts.find_one(call)
            except Exception as again:  # noqa: BLE001 - it has run; what it came to is asked for again
                log.warning("receipts could not be looked up", error=repr(again))
                call.maybe_repeat = True
                return None
            return None if stored is None else stored.answer_to(call)
        if verdict in {Verdict.TIMEOUT, Verdict.TRANSIENT}:
            call.maybe_repeat = call.answer.method.lane == "write"
            return None
        if call.maybe_repeat and (isinstance(error, Unavailable) or is_schema_change(error)):
            return None  # nothing can be learnt of it now; while it has time, that may change
        return await self._ruled_out(call, verdict) if isinstance(verdict, RemoteError) else error

    async def _ruled_out(self, call: Call, answer: RemoteError) -> Result:
        """The answer to a call that is not run. One that may have run before is fenced first: then the answer is true.

        Not so for a bug: its call is kept for replay, which a fence would forbid. So is a call that nobody waits for;
        and a replay whoever sent it may want to send again: there the answer holds for this time only.
        """
        if not call.maybe_repeat:
            return answer
        try:
            may_go_again = call.replayed or not call.awaited
            stored = await (self._receipts.find_one(call) if may_go_again else self._receipts.fence(call))
        except Exception as error:  # noqa: BLE001 - whatever kept it from being known
            log.warning("an outcome could not be looked up", method=call.method, id=call.shown_id, error=repr(error))
            return Unavailable(f"whether {call.method} ran could not be looked up: the database is away or busy")
        return answer if stored is None else stored.answer_to(call)


def refused(body: bytes, origin: Origin, error: RemoteError) -> Answered:
    """The answer to a message of which nothing runs; what nobody can be told is kept."""
    log.info("refused", error=error.code, reason=error.details.get("reason"))
    untold = [DeadLetter(body, "malformed", error_text(error))] if origin.reply_to is None else []
    return Answered([wire.encode_reply(wire.only_id(body), wire.encode_error(error))], untold)


def _word(result: Result | None) -> str:
    """What became of a call, in a word for the log."""
    if isinstance(result, Outcome):
        return "ok" if result.text.startswith('"result"') else "refused"
    return result.code if isinstance(result, RemoteError) else "InternalError"
