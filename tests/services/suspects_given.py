"""Messages that come a second time, or are made anew, and what is noted of their calls."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg

from rpc_client.wire import decode_reply
from tests.services.asking import ME, by, line
from worker.admission import Admission
from worker.calls import Call, hash_arguments
from worker.pipeline import Answered, Pipeline
from worker.settings import WorkerSettings
from worker.testing import LocalWorker

MANY = "select id, count from rowcall.attempts"


def deposit(request_id: object, amount: int = 5, *, attempt: int = 1) -> bytes:
    return line(request_id, "accounts.deposit", {"account_id": "a-1", "amount": amount}, attempt=attempt)


def look(request_id: object, *, attempt: int = 1) -> bytes:
    return line(request_id, "accounts.get_account", {"account_id": "a-1"}, attempt=attempt)


async def again(pipeline: Pipeline, *lines: bytes, message_id: str | None = None) -> Answered:
    """A message that was delivered before."""
    origin = by(ME, redelivered=True, message_id=message_id)
    return await pipeline.answer(b"\n".join(lines), origin, "write.accounts.deposit")


async def anew(pipeline: Pipeline, *lines: bytes, message_id: str) -> Answered:
    """A message that a client made when its connection came back."""
    return await pipeline.answer(b"\n".join(lines), by(ME, message_id=message_id), "write.accounts.deposit")


async def asked(pipeline: Pipeline, body: bytes, *, redelivered: bool, message_id: str) -> Answered:
    """A message with a read."""
    origin = by(ME, redelivered=redelivered, message_id=message_id)
    return await pipeline.answer(body, origin, "read.accounts.get_account")


def told(answered: Answered) -> list[object]:
    replies = [decode_reply(reply) for reply in answered.replies]
    return [reply.get("result", (reply.get("error"), reply.get("details", {}).get("reason"))) for reply in replies]


async def attempts(sql: asyncpg.Connection) -> dict[UUID, int]:
    return {row["id"]: row["count"] for row in await sql.fetch(MANY)}


def a_call(local: LocalWorker, settings: WorkerSettings, message_id: str) -> Call:
    """A deposit in a message of this name."""
    admission = Admission(local.served, settings)
    (call,) = admission.admit([deposit(uuid4())], by(ME, message_id=message_id), "write.accounts.deposit")
    assert isinstance(call, Call)
    return replace(call, id="00000000-0000-4000-8000-000000000001")


async def note(
    sql: asyncpg.Connection,
    request_id: UUID,
    times: int,
    method: str = "accounts.deposit",
    arguments: bytes = b'{"account_id":"a-1","amount":5}',
    *,
    decided: bool = False,
) -> None:
    """That so many workers died of this call, a deposit of 5; `decided` if one of them with a run that decides."""
    hashed = hash_arguments(method, arguments)
    await sql.execute(
        "insert into rowcall.attempts (id, caller, args_hash, count, run, decided) values ($1, $2, $3, $4, $5, $6)",
        request_id,
        ME,
        hashed,
        times,
        uuid4(),
        decided,
    )
