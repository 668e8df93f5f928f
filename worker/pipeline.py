"""``Pipeline.answers``: the bytes of a message in, the bytes of its replies out. It never raises.

decode · validate │ repeat? → stored outcome │ deadline │ BEGIN │ effect │ receipt │ COMMIT │ reply
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

import structlog

from rpc_client import wire
from rpc_client.errors import InternalError, InvalidRequest, Reason, RemoteError, Unavailable
from worker.admission import Admission, Refused, check_envelope
from worker.answered import Answered, Teller, refused
from worker.answers import business_error, expired
from worker.calls import Call, Origin, Outcome, Result
from worker.errors import Verdict, is_schema_change, judge
from worker.groups import Groups, run_alone
from worker.quiet import Quiet
from worker.receipts import Receipts
from worker.suspects import Suspects

if TYPE_CHECKING:
    from worker.database import Database
    from worker.events import Announces
    from worker.served import Served
    from worker.settings import WorkerSettings

FIRST_PAUSE_S = 0.02
ROLLBACK_S = 1.0
"""So long what is cut short has to end: to undo what it did, and to say so."""

log = structlog.get_logger("rowcall.call")


class Pipeline:
    """Answers messages, whatever carried them here."""

    def __init__(self, served: Served, database: Database, announcer: Announces, settings: WorkerSettings) -> None:
        self._database = database
        self._announcer = announcer
        self._settings = settings
        self._receipts = Receipts(database, served.statements)
        self._groups = Groups(database)
        self._quiet = Quiet()
        self._suspects = Suspects(database, served.statements, self._quiet)
        self._teller = Teller(served, database.clock)
        self._admission = Admission(served, settings, database.clock)

    async def live_on(self) -> None:
        """The messages in hand are given to others, though this worker lives: no suspect among them was lost."""
        await self._suspects.live_on()

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
                    yield self._teller.answered(await settled, started, origin)
            finally:
                for task in running:  # whoever asked has gone; the message will be delivered again
                    task.cancel()
                await asyncio.wait(running, timeout=ROLLBACK_S)
            slots = [slot for slot in slots if isinstance(slot, Refused)]
        else:
            for portion in portions:
                await self._settled(portion)
        if slots:
            yield self._teller.answered(slots, started, origin)

    async def _settled(self, calls: Sequence[Call]) -> Sequence[Call]:
        """Settle each call: by what is stored of it, or by what it does now, tried again while that can help."""
        if calls[0].answer.method.lane == "write":
            await self._settle_writes(calls)
        elif calls[0].suspect:  # as all of a message
            await self._suspects.not_run(calls)
        elif again := [call for call in calls if call.attempt > 1]:
            fresh = [call for call in calls if call.attempt == 1]
            await asyncio.gather(self._suspects.asked_again(again, self._run_now, self._run), self._run(fresh))
        else:
            await self._run(calls)
        return calls

    async def _settle_writes(self, calls: Sequence[Call]) -> None:
        await self._recall([call for call in calls if call.maybe_repeat])
        unknown = [call for call in calls if call.result is None]
        if calls[0].suspect:
            await self._suspects.one_by_one(unknown, self._run_now)
        elif again := [call for call in unknown if call.attempt > 1]:
            fresh = [call for call in unknown if call.attempt == 1]
            await asyncio.gather(self._suspects.sent_again(again, self._run_now), self._run(fresh))
        else:
            await self._run(unknown)

    async def _run(self, unknown: Sequence[Call]) -> None:
        """Run them, unless a suspect wants to be alone just now."""
        async with self._quiet.beside():
            await self._run_now(unknown)

    async def _run_now(self, unknown: Sequence[Call]) -> None:
        """Run those that have time left, and settle them."""
        now = time.time()
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
        passes = isinstance(error, Unavailable) and error.details.get("reason") != Reason.NO_KEY
        if call.maybe_repeat and (passes or is_schema_change(error)):
            return None  # nothing can be learnt of it now; while it has time, that may change
        return await self._ruled_out(call, verdict) if isinstance(verdict, RemoteError) else error

    async def _ruled_out(self, call: Call, answer: RemoteError) -> Result:
        """The answer to a call that is not run. One that may have run before is fenced first: then the answer is true.

        Not so for a bug, or one that takes workers down: its call is kept for replay, which a fence would forbid. So is
        a call that nobody waits for; a replay whoever sent it may want to send again; and what this worker has no key
        for, another may run: there the answer holds for this time only.
        """
        if not call.maybe_repeat:
            return answer
        try:
            kept = isinstance(answer, InternalError) or answer.details.get("reason") == Reason.NO_KEY
            may_go_again = call.replayed or not call.awaited or kept
            stored = await (self._receipts.find_one(call) if may_go_again else self._receipts.fence(call))
        except Exception as error:  # noqa: BLE001 - whatever kept it from being known
            log.warning("an outcome could not be looked up", method=call.method, id=call.shown_id, error=repr(error))
            return Unavailable(f"whether {call.method} ran could not be looked up: the database is away or busy")
        return answer if stored is None else stored.answer_to(call)
