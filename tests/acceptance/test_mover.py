"""From the queue of dead letters into the table: nothing is lost, nothing is doubled, nothing secret is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
import orjson
import pytest
from aio_pika.abc import AbstractQueue
from pamqp.commands import Basic

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings
from tests.acceptance.bad_input.row import Bytes
from tests.acceptance.broker import Peer, connected_peer, dead_letter, take
from tests.conftest import NAMED
from tests.proxy import proxied
from worker import topology
from worker.calls import hash_arguments
from worker.keys import KeyRing, new_key
from worker.mover import PREFETCH
from worker.settings import WorkerSettings

DEPOSIT = "write.accounts.deposit"
KEY = new_key()
ACKNOWLEDGED = b"\x00\x3c\x00\x50"
"""AMQP's basic.ack."""
CANARY = 'CANARY-7d1f "é\\'


@pytest.fixture
async def peer(settings: WorkerSettings) -> AsyncIterator[Peer]:
    """Somebody at the broker, where no worker runs yet."""
    connection = await aio_pika.connect(settings.amqp_urls[0])
    async with connection:
        await topology.declare(connection, settings)
    async with connected_peer(settings) as peer:
        yield peer


def call(**more: Any) -> bytes:
    return orjson.dumps(
        {"id": str(uuid4()), "method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 5}, **more}
    )


def id_of(line: bytes) -> str:
    return orjson.loads(line)["id"]


async def bury(peer: Peer, body: bytes, *, keys: KeyRing | None = None, **headers: str | int) -> None:
    """Put a letter into the queue as a worker does."""
    assert await buried(peer, body, keys=keys, **headers), "no queue took it"


async def buried(peer: Peer, body: bytes, *, keys: KeyRing | None = None, **headers: str | int) -> bool:
    """Try to put a letter into the queue; whether there was one to take it."""
    told = {
        "x-rowcall-reason": "internal",
        "x-rowcall-error": "KeyError: 'x'",
        "x-rowcall-attempts": 1,
        "x-rowcall-last-at": datetime.now(UTC).isoformat(),
        "x-rowcall-caller": "ada",
        "x-rowcall-sealed": 1,
        **headers,
    }
    sealed = (keys or KeyRing([])).seal(body, place="queue")
    exchange = await peer.channel.get_exchange(peer.names.dead)
    confirmed = await exchange.publish(aio_pika.Message(sealed, user_id="guest", headers=told), DEPOSIT, timeout=10)
    return isinstance(confirmed, Basic.Ack)


async def waiting(peer: Peer, number: int) -> None:
    """Wait until so many messages lie in the queue of dead letters."""
    async with asyncio.timeout(20):
        while (await queue(peer)).declaration_result.message_count != number:
            await asyncio.sleep(0.02)


async def queue(peer: Peer) -> AbstractQueue:
    return await peer.channel.declare_queue(peer.names.dead_letters, passive=True)


async def rows(sql: asyncpg.Connection, number: int) -> dict[str, Any]:
    """Wait until so many letters are kept; by their ids."""
    async with asyncio.timeout(20):
        while await sql.fetchval("select count(*) from rowcall.dead_letters") < number:
            await asyncio.sleep(0.02)
    found = await sql.fetch("select * from rowcall.dead_letters")
    assert len(found) == number
    return {str(row["id"]): row for row in found}


async def said(worker, words: str) -> None:
    """Wait until a worker's log says this."""
    async with asyncio.timeout(20):
        while words not in worker.log.read_text():
            await asyncio.sleep(0.02)


async def test_a_message_the_broker_gave_up_as_expired_is_a_letter_for_each_call_and_what_ran_is_resolved(
    peer: Peer, start_worker, sql
):
    lines = [call(), call(), call()]
    await sql.execute(
        "insert into rowcall.receipts (day, id, caller, method, args_hash, deadline, outcome)"
        """ values ('1970-01-01', $1, 'guest', 'accounts.deposit', $2, 'infinity', '"result":5}')""",
        id_of(lines[1]),
        hash_arguments("accounts.deposit", b'{"account_id":"a-1","amount":5}'),
    )
    await peer.send(b"\n".join(lines), DEPOSIT, expiration=0.001, user_id="guest")
    await waiting(peer, 1)

    await start_worker()
    kept = await rows(sql, 3)

    assert [kept[id_of(line)]["state"] for line in lines] == ["open", "resolved", "open"]
    assert {(row["reason"], row["method"], row["caller"], row["routing_key"]) for row in kept.values()} == {
        ("expired", "accounts.deposit", "guest", DEPOSIT)
    }
    assert {(await dead_letter(sql))["body"] for _ in lines} == set(lines)


async def test_a_message_the_broker_delivered_too_often_is_poison(peer: Peer, start_worker, sql):
    lines = [call(), call()]
    await peer.send(b"\n".join(lines), DEPOSIT, reply_to=None)
    lane = await peer.channel.get_queue(peer.names.queue("write"))
    for _ in range(topology.DELIVERY_LIMIT + 1):
        async with asyncio.timeout(10):
            while (message := await lane.get(fail=False)) is None:
                await asyncio.sleep(0.005)
        await message.reject(requeue=True)
    await waiting(peer, 1)

    await start_worker()
    kept = await rows(sql, 2)

    assert kept.keys() == {id_of(line) for line in lines}
    assert {(row["reason"], row["caller"]) for row in kept.values()} == {("poison", "")}


async def test_what_a_worker_seals_is_opened_moved_and_sealed_again(start_worker, settings, sql):
    ring = KeyRing([KEY])
    await start_worker(ROWCALL_ENCRYPTION_KEYS=KEY)
    async with connected_peer(settings) as peer:
        copies = await peer.channel.declare_queue(exclusive=True)
        await copies.bind(peer.names.dead, "#")
        sent = call(args={"account_id": "a-1", "amount": -1})

        await peer.send(sent, DEPOSIT, reply_to=None, user_id="guest")
        copy, letter = await take(copies), await dead_letter(sql, ring)

    assert b"deposit" not in copy.body
    assert ring.unseal(copy.body, place="queue") == letter["body"] == sent
    assert (letter["reason"], letter["caller"], str(letter["id"])) == ("malformed", "guest", id_of(sent))
    assert letter["error"].startswith("InvalidRequest: accounts.deposit: argument 'amount'")


async def test_no_secret_of_a_call_that_met_a_bug_is_to_be_read_anywhere(start_worker, settings, sql):
    families = ",".join([*NAMED, "tests.acceptance.vault:family"])
    worker = await start_worker(ROWCALL_FAMILIES=families, ROWCALL_ENCRYPTION_KEYS=KEY)
    line = call(
        method="vault.log_in", args={"login": {"user": "ada", "password": f"{CANARY}-1"}, "token": f"{CANARY}-2"}
    )
    async with connected_peer(settings) as peer:
        copies = await peer.channel.declare_queue(exclusive=True)
        await copies.bind(peer.names.dead, "#")

        await peer.send(line, "write.vault.log_in")
        reply, copy = await peer.reply(), await take(copies)
        await rows(sql, 1)
    table = await sql.fetchval("select string_agg(l::text, '') from rowcall.dead_letters as l")
    await said(worker, '"a bug"')

    seen = f"{reply.body!r} {copy.body!r} {copy.headers!r} {table} {worker.log.read_text()}"
    assert "log_in" in seen
    assert "CANARY" not in seen
    letter = await dead_letter(sql, KeyRing([KEY]))
    assert letter["body"] == line
    assert "CANARY" not in letter["traceback"]
    assert "KeyError: ***" in letter["traceback"].replace("'", "")


async def test_a_worker_killed_between_its_commit_and_the_acknowledgement_leaves_one_row(
    peer: Peer, start_worker, settings, sql
):
    async with proxied(settings.amqp_urls[0]) as (proxy, url):
        proxy.swallow(ACKNOWLEDGED)
        killed = await start_worker(ROWCALL_AMQP_URL=url)
        await bury(peer, call())
        before = await rows(sql, 1)
        killed.process.kill()
        await killed.process.wait()

    await waiting(peer, 1)
    await said(await start_worker(), '"dead letters kept"')

    assert await rows(sql, 1) == before
    await waiting(peer, 0)


async def test_while_the_database_is_away_letters_wait_and_none_is_lost(peer: Peer, start_worker, settings, sql):
    lines = [call() for _ in range(40)]
    async with proxied(settings.postgres_url.get_secret_value()) as (proxy, url):
        worker = await start_worker(ROWCALL_POSTGRES_URL=url)
        proxy.refuse()
        for line in lines:
            await bury(peer, line)
        await said(worker, "dead letters wait in their queue for the database")
        proxy.refuse(0)

        kept = await rows(sql, 40)

    assert kept.keys() == {id_of(line) for line in lines}
    await waiting(peer, 0)


async def test_letters_that_cannot_be_kept_now_let_the_others_pass_and_stay(peer: Peer, start_worker, sql):
    good, stuck = call(), 2 * PREFETCH + 1
    for _ in range(stuck):
        await bury(peer, call(), keys=KeyRing([new_key()]))
    await bury(peer, good)

    worker = await start_worker(ROWCALL_ENCRYPTION_KEYS=KEY)
    kept = await rows(sql, 1)
    assert await worker.stop() == 0

    assert kept.keys() == {id_of(good)}
    assert "a dead letter cannot be opened and stays in its queue" in worker.log.read_text()
    await waiting(peer, stuck)


async def test_whatever_lies_in_the_queue_is_kept_and_calls_go_on(peer: Peer, start_worker, settings, sql):
    odd = {"correlation_id": Bytes("\xff"), "user_id": "guest", "headers": {Bytes("\xff"): "no UTF-8"}}
    bodies = [b"garbage", b"", b"\n".join([b"{}"] * 65), b'{"method":"\\u0000","args":{}}', call(args=[]), b"\xff\0"]
    channel = await peer.channel.get_underlay_channel()
    for body in bodies:
        await channel.basic_publish(
            body, exchange=peer.names.dead, routing_key=DEPOSIT, properties=Basic.Properties(**odd), timeout=10
        )
    await bury(peer, call(), **{"x-rowcall-attempts": -(2**40), "x-rowcall-error": "\0", "x-rowcall-last-at": "soon"})

    await start_worker(ROWCALL_ENCRYPTION_KEYS=KEY)
    kept = await rows(sql, len(bodies) + 1)

    assert {row["reason"] for row in kept.values()} == {"malformed", "exhausted", "internal"}
    found = [(await dead_letter(sql, KeyRing([KEY])))["body"] for _ in kept]
    assert all(body in found for body in bodies)
    async with AsyncClient(ClientSettings.model_validate(settings.model_dump())) as client:
        assert (await AsyncAccounts(client).open_account("a-1", "me")).balance == 0


async def test_a_deleted_queue_is_made_anew_and_letters_are_taken_from_it(peer: Peer, start_worker, sql):
    worker = await start_worker()
    await peer.channel.queue_delete(peer.names.dead_letters)

    async with asyncio.timeout(20):
        while not await buried(peer, call()):  # a queue that is there and not bound yet takes nothing
            await asyncio.sleep(0.1)

    assert len(await rows(sql, 1)) == 1
    assert worker.process.returncode is None


async def test_a_thousand_letters_are_moved(peer: Peer, start_worker, sql):
    lines = [call() for _ in range(1000)]
    for n in range(0, 1000, 100):
        await asyncio.gather(*(bury(peer, line) for line in lines[n : n + 100]))
    await waiting(peer, 1000)

    await start_worker(ROWCALL_ENCRYPTION_KEYS=KEY)
    kept = await rows(sql, 1000)

    assert kept.keys() == {id_of(line) for line in lines}
    assert {row["attempts"] for row in kept.values()} == {1}
