"""``Attempts``: how many workers were lost with a call, in whatever message it came, and which of those run now."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from worker.receipts import LOOKUP_S

if TYPE_CHECKING:
    from worker.calls import Call
    from worker.database import Database, Row
    from worker.statements import Statement

MAX_ATTEMPTS = 3
"""A call takes at most so many workers down."""

ACQUITTALS = 2
"""So many losses at most are forgiven: who kills only after he has run for a while, takes so many more."""

Key = tuple[str, str, bytes]
"""Id, caller and arguments: nobody counts against somebody else's call."""

log = structlog.get_logger("rowcall.suspects")


class Attempts:
    """Reads and writes ``rowcall.attempts``. Calls given together are of one message."""

    def __init__(self, database: Database, statements: Mapping[str, Statement]) -> None:
        self._database = database
        self._statements = statements
        self._in_order = asyncio.Lock()
        self._unsaid: dict[tuple[str, Key], Call] = {}
        """Ends that could not be noted, by message and call: while PostgreSQL was away."""

    async def lost(self, calls: Sequence[Call], *, timeout_s: float) -> dict[Key, int]:
        """Note that their message was lost with a worker: how many were with each. Noted again, it counts once."""
        each = calls[0].answer.method.lane == "read"
        values = {**_named(calls), "each": each, "most": MAX_ATTEMPTS, "forgiven": ACQUITTALS}
        return _losses(await self._run("rowcall.note_losses", values, timeout_s))

    async def known(self, calls: Sequence[Call]) -> dict[Key, int]:
        """How many were lost with each; nothing as long as nobody can tell."""
        return _losses(await self._try("rowcall.find_attempts", {"ids": [call.id for call in calls]}) or [])

    async def begin(
        self, calls: Sequence[Call], *, timeout_s: float, decides: bool = False
    ) -> dict[Key, tuple[int, int]]:
        """Note that they begin to run: how many workers were lost with each, and how many copies of it are running.

        With ``MAX_ATTEMPTS`` of both together it may not. A message of an earlier attempt of which nothing is noted may
        be a copy that runs somewhere, or was lost and has not come again: where workers were lost, or a copy is
        running, it counts as one. A call comes to ``MAX_ATTEMPTS`` losses only if a worker is lost with a run that
        `decides`: one that begins with two losses known, or feared.
        """
        async with asyncio.timeout(max(timeout_s, 0)):
            await self._catch_up(calls)
        try:
            rows = await self._run("rowcall.begin_runs", _begun(calls, decides=decides), timeout_s)
        except asyncio.CancelledError:
            await self.end(calls)  # it may be noted, though nobody hears so any more
            raise
        except Exception:
            self._unsaid |= {_name(call): call for call in calls}
            raise
        before = {_key(row): (row["lost"], row["counted"]) for row in rows}
        for call in calls:
            call.noted_before = before[key_of(call)]
        sent = {key_of(call): call.attempt for call in calls}
        suspected = [row for row in rows if row["count"] + row["copies"]]
        unheard_of = {_key(row) for row in suspected if sent[_key(row)] - 1 > row["known"]}
        return {_key(row): (row["count"], row["copies"] + (_key(row) in unheard_of)) for row in rows}

    async def _catch_up(self, beginning: Sequence[Call]) -> None:
        """Note the ends that could not be, or what begins now would be held against them."""
        if not self._unsaid:
            return
        async with self._in_order:
            own = self._take_unsaid(beginning)
            try:
                while calls := of_one_message([*self._unsaid.values()]):
                    if await self._try("rowcall.end_runs", _named(calls)) is None:
                        return
                    self._take_unsaid(calls)
            except asyncio.CancelledError:
                self._unsaid |= own  # they do not begin
                raise

    def _take_unsaid(self, calls: Sequence[Call]) -> dict[tuple[str, Key], Call]:
        """Those of them whose end was unsaid; it is so no more."""
        return {name: self._unsaid.pop(name) for call in calls if (name := _name(call)) in self._unsaid}

    async def end(self, calls: Sequence[Call]) -> None:
        """Their run has ended, and their worker lives. Who is cancelled meanwhile, once, notes it all the same."""
        if not calls:
            return
        try:
            await self._end(calls)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling() <= 1:
                await self._end(calls)
            raise

    async def _end(self, calls: Sequence[Call]) -> None:
        """Nobody waits for that longer than for one answer; what is unsaid by then is said before others begin."""
        self._unsaid |= {_name(call): call for call in calls}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOKUP_S), self._in_order:
                if await self._try("rowcall.end_runs", _named(calls)) is not None:
                    self._take_unsaid(calls)

    async def acquit(self, calls: Sequence[Call]) -> None:
        """Should their worker be lost, that does not count. So often only: what kills later is found as well."""
        async with self._in_order:
            await self._try("rowcall.acquit_runs", {**_named(calls), "forgiven": ACQUITTALS})

    async def live_on(self, calls: Sequence[Call], *, decides: bool) -> bool:
        """Others get their messages, but their worker lives, and they go on: that counts as no loss, or no more.

        False where that could not be noted.
        """
        lost, counted = zip(*(call.noted_before for call in calls), strict=True)
        before = {"lost": lost, "counted": counted}
        async with self._in_order:
            self._take_unsaid(calls)
            return await self._try("rowcall.live_on", {**_named(calls), **before, "decides": decides}) is not None

    async def resume(self, calls: Sequence[Call]) -> None:
        """Their run goes on, after it was noted to have ended. Never noted after an end that comes later."""
        async with self._in_order:
            self._take_unsaid(calls)
            await self._try("rowcall.begin_runs", _begun(calls, decides=False))

    async def _run(self, name: str, values: Mapping[str, object], timeout_s: float) -> list[Row]:
        statement = self._statements[name]
        return await self._database.fetch(statement.sql, [statement.bind(values)], timeout_s=timeout_s)

    async def _try(self, name: str, values: Mapping[str, object]) -> list[Row] | None:
        """As far as that is possible: a loss too many or too few condemns nobody by itself. None where it was not."""
        try:
            return await self._run(name, values, LOOKUP_S)
        except Exception as error:  # noqa: BLE001 - the calls themselves will meet whatever it is
            log.info("attempts could not be looked up, or changed", statement=name, error=repr(error))
            return None


def key_of(call: Call) -> Key:
    """What is noted of it, is noted under this."""
    return call.id, call.caller, call.args_hash


def of_one_message(calls: Sequence[Call]) -> list[Call]:
    """Those of the first's."""
    return [call for call in calls if (call.message_id, call.caller) == (calls[0].message_id, calls[0].caller)]


def _name(call: Call) -> tuple[str, Key]:
    return call.message_id, key_of(call)


def _named(calls: Sequence[Call]) -> dict[str, object]:
    """Any text names a message: what it is known by here is of one shape."""
    digest = hashlib.blake2b(calls[0].message_id.encode(), digest_size=16).digest()
    return {
        "ids": [call.id for call in calls],
        "caller": calls[0].caller,
        "digests": [call.args_hash for call in calls],
        "message": UUID(bytes=digest),
    }


def _begun(calls: Sequence[Call], *, decides: bool) -> dict[str, object]:
    return {**_named(calls), "most": MAX_ATTEMPTS, "decides": decides}


def _key(row: Row) -> Key:
    return str(row["id"]), row["caller"], row["args_hash"]


def _losses(rows: Sequence[Row]) -> dict[Key, int]:
    return {_key(row): row["count"] for row in rows}
