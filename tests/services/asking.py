"""Questions for outcomes, as a worker's pipeline gets them; and dead letters, as the table holds them."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

import asyncpg
import orjson

from rpc_client.wire import decode_reply, encode_call
from worker.calls import Origin
from worker.pipeline import Pipeline

ME = "me"


def line(request_id: object, method: str, arguments: dict[str, Any], *, left_s: float = 10, attempt: int = 1) -> bytes:
    deadline_ms = int((time.time() + left_s) * 1000)
    return encode_call(str(request_id), method, orjson.dumps(arguments), deadline_ms, attempt)


def by(caller: str, *, redelivered: bool = False, message_id: str | None = None) -> Origin:
    return Origin(caller, "tests", None, message_id, redelivered=redelivered)


async def replies(pipeline: Pipeline, body: bytes, key: str, origin: Origin) -> list[bytes]:
    return (await pipeline.answer(body, origin, key)).replies


async def asked(
    pipeline: Pipeline, request_id: object, *, fence: bool = False, origin: Origin | None = None, left_s: float = 10
) -> dict[str, Any]:
    """The whole reply to a question for an outcome."""
    question = line(uuid4(), "rowcall.outcome", {"id": str(request_id), "fence": fence}, left_s=left_s)
    (reply,) = await replies(pipeline, question, "read.rowcall.outcome", origin or by(ME))
    return decode_reply(reply)


async def state(pipeline: Pipeline, request_id: object, *, fence: bool = False, caller: str = ME) -> str:
    """The state it is in, or the error's name."""
    reply = await asked(pipeline, request_id, fence=fence, origin=by(caller))
    return reply["error"] if "error" in reply else reply["result"]["state"]


async def bury(
    sql: asyncpg.Connection, request_id: object, *, caller: str = ME, state: str = "open", **of: object
) -> None:
    """A dead letter in the table."""
    await sql.execute(
        "insert into rowcall.dead_letters (id, caller, args_hash, routing_key, method, reason, error,"
        " fingerprint, attempts, first_at, last_at, worker, state, outcome, replay_id, body, traceback)"
        " values ($1, $2, $3, 'write.accounts.withdraw',"
        " 'accounts.withdraw', 'internal', '', '', 1, now(), now(), '', $4, $5, $6, '', '')",
        request_id,
        caller,
        uuid4().bytes,
        state,
        of.get("outcome"),
        of.get("replay_id"),
    )


async def letters(sql: asyncpg.Connection) -> list[tuple[str, str]]:
    rows = await sql.fetch("select caller, state from rowcall.dead_letters order by number")
    return [(row["caller"], row["state"]) for row in rows]
