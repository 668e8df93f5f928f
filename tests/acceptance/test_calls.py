"""A call through RabbitMQ, PostgreSQL and back, with a real worker process."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import orjson
import pytest
from pydantic import SecretStr

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings, InsufficientCredits, InvalidRequest, OutcomeUnknown, Unroutable
from rpc_client.events import listen
from tests.acceptance.broker import Peer, connected_peer, dead_letter
from tests.proxy import proxied


@pytest.fixture
async def peer(settings, worker) -> AsyncIterator[Peer]:
    async with connected_peer(settings) as peer:
        yield peer


async def test_calls_come_back_typed(worker, client: AsyncClient):
    accounts = AsyncAccounts(client)

    opened = await accounts.open_account("a-1", "me")
    balances = [await accounts.deposit("a-1", 500), await accounts.withdraw("a-1", 100)]

    assert (opened.account_id, opened.balance) == ("a-1", 0)
    assert balances == [500, 400]
    assert [entry.amount for entry in await accounts.list_entries("a-1")] == [-100, 500]
    assert await accounts.get_account("nobody") is None
    with pytest.raises(InsufficientCredits) as caught:
        await accounts.withdraw("a-1", 401)
    assert caught.value.details == {"balance": 400, "cost": 401}
    assert (caught.value.method, caught.value.status_code) == ("accounts.withdraw", 402)
    assert caught.value.request_id


async def test_committed_changes_are_heard_live_and_refused_ones_are_not(worker, client, settings):
    accounts = AsyncAccounts(client)
    async with listen("accounts/account/a-1", settings) as events:
        await accounts.open_account("a-1", "me")
        with pytest.raises(InsufficientCredits):
            await accounts.withdraw("a-1", 1)
        await accounts.deposit("a-1", 5)

        async with asyncio.timeout(10):
            heard = [await anext(events) for _ in range(2)]

    assert [(event.type, event.data.get("balance")) for event in heard] == [("AccountOpened", None), ("Deposited", 5)]
    assert heard[0].seq < heard[1].seq


@pytest.mark.parametrize("spoilt", ["events #- '{0,aggregate_id}'", "jsonb_set(events, '{0,aggregate_id}', '5')"])
async def test_an_event_that_is_not_as_it_should_be_keeps_nobody_from_hearing_the_next(
    worker, client, settings, sql, spoilt: str
):
    accounts = AsyncAccounts(client)
    await sql.execute(
        "create function spoil() returns trigger language plpgsql as"
        f" $$ begin select {spoilt} into new.events from (select new.events) as n; return new; end $$;"
        " create trigger spoil before insert on rowcall.receipts for each row"
        " when (new.method = 'accounts.open_account') execute function spoil()"
    )
    async with listen("accounts/account/*", settings) as events:
        await accounts.open_account("a-1", "me")
        await accounts.deposit("a-1", 5)

        async with asyncio.timeout(10):
            heard = await anext(events)

    assert heard.type == "Deposited"


async def test_without_any_worker_ever_the_call_fails_at_once(client):
    with pytest.raises(Unroutable, match="rowcall worker"):
        await AsyncAccounts(client).get_account("a-1")


async def test_with_no_worker_left_the_time_out_says_so(start_worker, client):
    worker = await start_worker()
    await worker.stop()

    with pytest.raises(OutcomeUnknown, match=r"0 workers consume .*\.write; start one") as caught:
        await AsyncAccounts(client.with_options(timeout_s=0.5)).deposit("a-1", 5)

    assert caught.value.request_id


async def test_a_call_waits_for_the_worker_that_comes(start_worker, client):
    await (await start_worker()).stop()
    waiting = asyncio.ensure_future(AsyncAccounts(client).open_account("a-1", "me"))

    await start_worker()

    assert (await waiting).account_id == "a-1"


async def test_a_killed_worker_fails_no_call_and_doubles_none(start_worker, client, sql):
    accounts = AsyncAccounts(client.with_options(timeout_s=30))
    doomed, _ = await start_worker(), await start_worker()
    await accounts.open_account("a-1", "me")
    calls = [asyncio.ensure_future(accounts.deposit("a-1", 1)) for _ in range(400)]

    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    doomed.process.send_signal(signal.SIGKILL)
    results = await asyncio.gather(*calls)

    assert sorted(results) == list(range(1, 401))
    assert await sql.fetchval("select balance from accounts.accounts") == 400
    assert await sql.fetchval("select count(*) from accounts.entries") == 400


async def test_a_reply_that_never_reached_the_broker_is_given_by_the_next_worker(start_worker, client, settings, sql):
    """A killed worker's reply may die with its connection after its acknowledgement got through on the other one."""
    accounts = AsyncAccounts(client.with_options(timeout_s=30))
    async with proxied(settings.amqp_urls[0]) as (proxy, url):
        doomed = await start_worker(ROWCALL_AMQP_URL=url)
        await accounts.open_account("a-1", "me")
        proxy.swallow(f"{settings.prefix}.replies.".encode())
        waiting = asyncio.ensure_future(accounts.deposit("a-1", 5))
        async with asyncio.timeout(10):
            while await sql.fetchval("select balance from accounts.accounts") != 5:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # whatever it might tell the broker now, it has told

        doomed.process.kill()
        await start_worker()

        assert await waiting == 5
    assert await sql.fetchval("select balance from accounts.accounts") == 5


async def test_a_stopped_worker_finishes_what_runs(start_worker, client, sql):
    accounts = AsyncAccounts(client.with_options(timeout_s=30))
    first = await start_worker()
    await accounts.open_account("a-1", "me")
    calls = [asyncio.ensure_future(accounts.deposit("a-1", 1)) for _ in range(200)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

    code = await first.stop()
    await start_worker()

    assert code == 0
    assert sorted(await asyncio.gather(*calls)) == list(range(1, 201))
    assert await sql.fetchval("select balance from accounts.accounts") == 200


async def test_what_waits_is_sent_again_when_the_connection_comes_back(worker, settings, sql):
    async with proxied(settings.amqp_urls[0]) as (proxy, url):
        through = ClientSettings(amqp_url=SecretStr(url), prefix=settings.prefix, timeout_s=30)
        async with AsyncClient(through) as client:
            accounts = AsyncAccounts(client)
            await accounts.open_account("a-1", "me")
            calls = [asyncio.ensure_future(accounts.deposit("a-1", 1)) for _ in range(100)]
            await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

            proxy.cut()
            await asyncio.gather(*calls)

    assert sorted(await asyncio.gather(*calls)) == list(range(1, 101))
    assert await sql.fetchval("select balance from accounts.accounts") == 100


async def test_a_foreign_client_gets_one_reply_with_its_correlation_id(peer: Peer, client):
    await AsyncAccounts(client).open_account("a-1", "me")
    call = {"method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 5}}

    await peer.send(orjson.dumps(call), "write.accounts.deposit", correlation_id="42")
    reply = await peer.reply()

    assert reply.correlation_id == "42"
    assert orjson.loads(reply.body)["result"] == 5


NO_CALLS = [
    (b"garbage", "write.accounts.deposit", {}, "malformed"),
    (b"", "write.accounts.deposit", {}, "malformed"),
    (b"{}" * 70, "write.accounts.deposit", {}, "malformed"),
    (b"{}\n" * 70, "write.accounts.deposit", {}, "too_many_calls"),
    (b'{"method":"accounts.depositt"}', "write.accounts.depositt", {}, "unknown_method"),
    (b'{"method":"accounts.deposit"}', "write.accounts.withdraw", {}, "wrong_lane"),
    (b'{"method":"accounts.deposit"}', "read.accounts.deposit", {}, "wrong_lane"),
    (b"{}", "write.x", {"content_type": "application/python-pickle"}, "content_type"),
    (b"{}", "write.x", {"content_encoding": "gzip"}, "encoding"),
    (
        b'{"method":"accounts.get_account","args":{"account_id":"' + b"x" * (2 << 20) + b'"}}',
        "read.x",
        {},
        "too_large",
    ),
]


async def test_a_message_that_is_no_call_gets_a_typed_answer_and_the_worker_lives(peer: Peer, worker, client):
    for n, (body, routing_key, properties, reason) in enumerate(NO_CALLS):
        await peer.send(body, routing_key, **properties)
        reply = orjson.loads((await peer.reply()).body)

        assert (reply["error"], reply["details"]["reason"]) == ("InvalidRequest", reason)
        assert (await AsyncAccounts(client).open_account(f"a-{n}", "me")).balance == 0
        assert worker.process.returncode is None


async def test_an_expired_foreign_call_is_answered_and_not_run(peer: Peer, client):
    await AsyncAccounts(client).open_account("a-1", "me")
    call = {
        "method": "accounts.deposit",
        "args": {"account_id": "a-1", "amount": 5},
        "deadline": int(time.time()) * 1000 - 1,
    }

    await peer.send(orjson.dumps(call), "write.accounts.deposit")

    assert orjson.loads((await peer.reply()).body)["error"] == "DeadlineExceeded"
    assert (await AsyncAccounts(client).get_account("a-1")).balance == 0


async def test_a_write_that_wants_its_reply_in_another_queue_is_not_run_but_buried(peer: Peer, client, settings, sql):
    await AsyncAccounts(client).open_account("a-1", "me")
    call = orjson.dumps({"method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 5}})

    await peer.send(call, "write.accounts.deposit", reply_to=f"{settings.prefix}.write")
    letter = await dead_letter(sql)

    assert (letter["body"], letter["reason"]) == (call, "malformed")
    assert (await AsyncAccounts(client).get_account("a-1")).balance == 0


async def test_an_unreadable_message_of_nobody_is_buried_with_its_bytes(peer: Peer, sql):
    await peer.send(b"garbage", "write.accounts.deposit", reply_to=None)

    letter = await dead_letter(sql)

    assert (letter["body"], letter["reason"]) == (b"garbage", "malformed")


async def test_a_write_without_a_reply_address_runs(peer: Peer, client):
    await AsyncAccounts(client).open_account("a-1", "me")
    call = orjson.dumps({"method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 5}})

    await peer.send(call, "write.accounts.deposit", reply_to=None)

    async with asyncio.timeout(10):
        while (await AsyncAccounts(client).get_account("a-1")).balance != 5:
            await asyncio.sleep(0.02)


async def test_a_bug_is_answered_as_such_and_the_write_is_kept_with_its_traceback(peer: Peer, client, sql):
    await AsyncAccounts(client).open_account("a-1", "me")
    await sql.execute("alter table accounts.entries alter column balance type boolean using balance > 0")
    call = orjson.dumps(
        {"id": str(uuid4()), "method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 5, "note": "secret"}}
    )

    await peer.send(call, "write.accounts.deposit")
    reply, letter = orjson.loads((await peer.reply()).body), await dead_letter(sql)

    assert reply["error"] == "InternalError"
    assert "boolean" not in str(reply)
    assert letter["body"] == call
    assert letter["reason"] == "internal"
    assert "DatatypeMismatchError" in letter["traceback"]


async def test_too_large_arguments_are_refused_unsent(worker, client):
    with pytest.raises(InvalidRequest, match="ROWCALL_BODY_BYTES") as caught:
        await AsyncAccounts(client).deposit("a-1", 5, "x" * (8 << 20))

    assert caught.value.details["reason"] == "too_large"


async def test_several_workers_may_start_at_once_on_an_empty_database(start_worker, client):
    await asyncio.gather(*(start_worker() for _ in range(4)))

    assert (await AsyncAccounts(client).open_account("a-1", "me")).balance == 0
