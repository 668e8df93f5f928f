"""A worker without a key: what needs none is served, and of a call with secrets nothing is kept in the clear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import aio_pika
import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient
from tests.acceptance.broker import Peer, connected_peer, dead_letter
from tests.conftest import NAMED
from worker.keys import KeyRing, new_key

FAMILIES = ",".join([*NAMED, "tests.acceptance.vault:family"])
KEY = new_key()
CANARY = "c4nary-c4nary"
SECRET, PLAIN = "write.vault.log_in", "write.accounts.deposit"
HELD = "a dead letter stays in its queue: it may hold secrets, and there is no key to seal it with"
UNTOLD = {"reply_to": None, "user_id": "guest"}


def line(**more: Any) -> bytes:
    args = {"login": {"user": "ada", "password": CANARY}, "token": CANARY}
    return orjson.dumps({"id": str(uuid4()), "method": "vault.log_in", "args": args, **more})


def bad_deposit() -> bytes:
    """A call without secrets that no worker can run."""
    args = {"account_id": "a-1", "amount": -1}
    return orjson.dumps({"id": str(uuid4()), "method": "accounts.deposit", "args": args})


def replayed() -> dict[str, Any]:
    headers = {"x-rowcall-deadline": int(time.time() * 1000) + 30_000, "x-rowcall-id": str(uuid4())}
    return {**UNTOLD, "headers": headers}


async def said(worker, words: str) -> None:
    """Wait until a worker's log says this."""
    async with asyncio.timeout(20):
        while words not in worker.log.read_text():
            await asyncio.sleep(0.02)


async def count(sql) -> int:
    return await sql.fetchval("select count(*) from rowcall.dead_letters")


async def test_a_call_with_secrets_does_not_run_says_why_and_leaves_nothing(
    start_worker, settings, client: AsyncClient, sql
):
    worker = await start_worker(ROWCALL_FAMILIES=FAMILIES)
    async with connected_peer(settings) as peer:
        await peer.send(line(), SECRET)
        told = orjson.loads((await peer.reply()).body)
        dead = await peer.channel.declare_queue(peer.names.dead_letters, passive=True)

    assert (told["error"], told["details"]) == ("Unavailable", {"reason": "no_key"})
    assert told["message"].startswith("vault.log_in needs a key, and this worker has none: set ROWCALL_ENCRYPTION_KEYS")
    assert (await AsyncAccounts(client).open_account("a-1", "me")).balance == 0
    assert (dead.declaration_result.message_count, await count(sql)) == (0, 0)
    assert CANARY not in worker.log.read_text()


async def test_a_repeat_says_so_too_and_does_not_forbid_the_call_to_workers_with_a_key(start_worker, settings, sql):
    await start_worker(ROWCALL_FAMILIES=FAMILIES)
    async with connected_peer(settings) as peer:
        await peer.send(line(attempt=2), SECRET)
        told = orjson.loads((await peer.reply()).body)

    assert (told["error"], told["details"]) == ("Unavailable", {"reason": "no_key"})
    assert await sql.fetchval("select count(*) from rowcall.receipts") == 0


ROADS: dict[str, tuple[Callable[[], bytes], str, Callable[[], dict[str, Any]]]] = {
    "nobody waits": (line, SECRET, lambda: UNTOLD),
    "a repeat": (lambda: line(attempt=2), SECRET, lambda: UNTOLD),
    "a replay": (line, SECRET, replayed),
    "arguments that do not fit": (lambda: line(args={"pasword": CANARY}), SECRET, lambda: UNTOLD),
    "a method nobody knows": (lambda: line(method="vault.login"), SECRET, lambda: UNTOLD),
    "under another routing key": (line, PLAIN, lambda: UNTOLD),
    "no JSON": (lambda: line()[:-1], SECRET, lambda: UNTOLD),
    "no JSON under another routing key": (lambda: line()[:-1], PLAIN, lambda: UNTOLD),
    "too many lines": (lambda: b"\n".join([line()] * 65), SECRET, lambda: UNTOLD),
    "too large": (lambda: line(args={"token": CANARY * 90_000}), SECRET, lambda: UNTOLD),
    "no reply queue": (line, SECRET, lambda: {"reply_to": "somewhere"}),
    "a bad header": (line, SECRET, lambda: {**UNTOLD, "headers": {"x-rowcall-deadline": "soon"}}),
    "expired": (line, SECRET, lambda: {"expiration": 0.001}),
}
"""What is sent, and how, that comes to lie among the dead letters."""


OFTEN = {"nobody waits", "a method nobody knows", "no JSON", "no reply queue", "expired"}
"""One of each kind; the others end where one of these does."""


@pytest.mark.parametrize(
    "road", [pytest.param(road, marks=() if road in OFTEN else pytest.mark.heavy) for road in ROADS]
)
async def test_a_letter_with_secrets_waits_at_the_broker_for_a_worker_with_a_key(
    start_worker, settings, sql, road: str
):
    body, routing_key, properties = ROADS[road]
    sent = body()
    without = await start_worker(ROWCALL_FAMILIES=FAMILIES)
    async with connected_peer(settings) as peer:
        if road == "expired":
            await _expire(peer, sent)
        else:
            await peer.send(sent, routing_key, **properties())
        await said(without, HELD)
        await peer.send(bad_deposit(), PLAIN, **UNTOLD)
        plain = await dead_letter(sql)
        await without.stop()
    kept_without = await count(sql)

    sealing = await start_worker(ROWCALL_FAMILIES=FAMILIES, ROWCALL_ENCRYPTION_KEYS=KEY)
    await said(sealing, '"dead letters kept"')
    table = await sql.fetchval("select string_agg(l::text, '') from rowcall.dead_letters as l")
    letter = await dead_letter(sql, KeyRing([KEY]))

    assert (plain["method"], kept_without) == ("accounts.deposit", 0)
    assert CANARY in letter["body"].decode()
    assert CANARY not in f"{table} {without.log.read_text()} {sealing.log.read_text()}"


async def _expire(peer: Peer, body: bytes) -> None:
    """What the broker does with a call that no worker took in time."""
    exchange = await peer.channel.get_exchange(peer.names.dead)
    death = {"reason": "expired", "queue": peer.names.queue("write"), "count": 1}
    message = aio_pika.Message(body, headers={"x-death": [death]})
    await exchange.publish(message, SECRET, timeout=10)
