"""The ``rowcall`` family: what every worker answers, whatever else it serves."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Literal

import orjson

from rpc_client import __version__
from rpc_client.contract import Method
from rpc_client.contract.rowcall import Limits, Rowcall, ServerInfo, State
from rpc_client.errors import AuthorizationError, Unavailable
from rpc_client.wire import VERSION, encode_result
from worker.calls import Call, Outcome, Result, day_of
from worker.database import Database, Row
from worker.errors import is_lock_timeout
from worker.receipts import FENCED, Receipts, heir_of
from worker.registry import Family
from worker.settings import WorkerSettings
from worker.statements import Statement

WAITING = frozenset({"open", "replaying"})
"""The states of a dead letter whose call may still run."""


@dataclass(frozen=True, slots=True)
class Known:
    """A read whose answer is known when the worker starts: it needs no database, and is answered when that is away."""

    method: Method[..., Any]
    outcome: Outcome
    together: ClassVar[bool] = True

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:  # noqa: ARG002 - as any answer
        return [self.outcome] * len(calls)


def server_info(families: Sequence[Family], methods: int, settings: WorkerSettings) -> Known:
    """What this worker says of itself. `methods` are those of the families; its own come on top."""
    info = ServerInfo(
        version=__version__,
        wire_versions=[VERSION],
        families=[*(family.name for family in families), Rowcall.name],
        methods=methods + len(Rowcall.methods()),
        limits=Limits(
            body_bytes=settings.body_bytes,
            calls=settings.message_calls,
            deadline_s=settings.max_deadline_s,
            read_reply_bytes=settings.read_reply_bytes,
            write_reply_bytes=settings.write_reply_bytes,
            retention_days=settings.retention_days,
        ),
    )
    return Known(Rowcall.server_info, Outcome(encode_result(info.model_dump_json())))


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a call, as it may be told."""

    state: State
    method: str | None = None
    reply: str | None = None
    """Its reply line after the id; None too where it is decided, but only a dead letter is left to tell so."""
    heir: str | None = None
    """The id under which it goes on; what became of that is what became of it."""

    @property
    def is_final(self) -> bool:
        """Whether it stays so: a receipt says it, or did."""
        return self.state in {"done", "failed", "fenced"}

    def told_of(self, request_id: str) -> Outcome:
        """The answer, with the stored reply in it byte for byte."""
        head = orjson.dumps({"id": request_id, "state": self.state, "method": self.method})[:-1].decode()
        reply = "null" if self.reply is None else f"{{{self.reply}"
        return Outcome(encode_result(f'{head},"reply":{reply}}}'))


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A read that tells what became of a write, and fences it where that is asked for.

    All it does may be done again: a fence stands, or it is written. So it runs anew whenever its end was not heard of.
    """

    method: Method[..., Any]
    statements: Mapping[str, Statement]
    retention_days: int
    operators: frozenset[str]
    together: ClassVar[bool] = False

    async def run(self, calls: Sequence[Call], database: Database) -> list[Result]:
        (call,) = calls
        asked = call.arguments["id"].lower()
        request_id, trace = await self._follow(call, asked, database)
        while call.fences and not trace.is_final:  # again where it got another id meanwhile
            await self._fence(call, request_id, database)
            request_id, trace = await self._follow(call, request_id, database)
        return [trace.told_of(asked)]

    async def _follow(self, call: Call, request_id: str, database: Database) -> tuple[str, Trace]:
        """The id under which it goes on, if it does under another, and what is known of that."""
        trace = await self._look(call, request_id, database)
        while trace.heir is not None:
            request_id = trace.heir
            trace = await self._look(call, request_id, database)
        return request_id, trace

    def _day_of(self, request_id: str) -> date:
        return day_of(request_id, now=time.time(), retention_days=self.retention_days)

    async def _look(self, call: Call, request_id: str, database: Database) -> Trace:
        statement = self.statements["rowcall.find_outcome"]
        values = statement.bind({"day": self._day_of(request_id), "id": request_id})
        return self._judge(await database.fetch(statement.sql, [values], timeout_s=call.left_s), call.caller)

    def _judge(self, rows: Sequence[Row], caller: str) -> Trace:
        """What the rows of an id mean to this caller: a receipt decides. AuthorizationError where all are others'."""
        decisive = [row for row in rows if row["outcome"] is not None] or rows
        if any(row["outcome"] == FENCED for row in decisive):
            return Trace("fenced", None, FENCED)  # it binds everybody, so everybody may know
        if heirs := [heir for row in decisive if row["outcome"] and (heir := heir_of(row["outcome"]))]:
            return Trace("no_trace", heir=heirs[0])
        visible = [row for row in decisive if caller in {row["caller"], *self.operators}]
        if not visible and rows:
            raise AuthorizationError("this request id is another caller's")
        if not visible:
            return Trace("no_trace")
        method, reply = visible[0]["method"], visible[0]["outcome"]
        if reply is None:
            return _of_letters(visible)
        return Trace("done" if reply.startswith('"result"') else "failed", method, reply)

    async def _fence(self, call: Call, request_id: str, database: Database) -> None:
        """Forbid a call to run. Unavailable while a run of it is about to commit, or to give up, for too long."""
        receipt = {**call.receipt_values(), "_day": self._day_of(request_id), "_id": request_id}
        letters: Literal["own", "all"] = "all" if call.caller in self.operators else "own"
        try:
            await Receipts(database, self.statements).forbid(receipt, letters=letters, timeout_s=call.left_s)
        except Exception as error:
            if is_lock_timeout(error):
                raise Unavailable(f"{request_id} may be committing right now; ask again") from error
            raise


def _of_letters(letters: Sequence[Row]) -> Trace:
    """What an id's dead letters tell where it has no receipt: what ran has run, though its receipt is forgotten."""
    for letter in letters:
        if letter["state"] == "resolved":
            return Trace("done" if letter["word"] == "done" else "failed", letter["method"])
    for letter in letters:
        if letter["heir"] is not None:
            return Trace("no_trace", heir=letter["heir"])
    waiting = [letter["method"] for letter in letters if letter["state"] in WAITING]
    return Trace("dead_lettered", waiting[0]) if waiting else Trace("no_trace")
