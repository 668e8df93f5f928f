"""What a client does besides calling: sends, looks, is cancelled, is forgotten, and says which call it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from accounts import Accounts, AsyncAccounts
from rpc_client import (
    AsyncClient,
    ClientSettings,
    DatabaseManagerAsyncClient,
    Disconnected,
    InvalidRequest,
    OutcomeUnknown,
    RPCError,
    Unroutable,
)
from tests.acceptance.test_messages import DELIVER, OPEN_CHANNEL, PUBLISH, methods
from tests.acceptance.test_sync import forget
from tests.proxy import Proxy, proxied

NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


@pytest.fixture
async def watched(worker, settings) -> AsyncIterator[tuple[AsyncClient, Proxy]]:
    """A client over a connection whose bytes are kept, and an account."""
    async with proxied(settings.amqp_urls[0]) as (proxy, url), through(url, settings) as client:
        await AsyncAccounts(client).open_account("a-1", "me")
        proxy.sent.clear()
        proxy.received.clear()
        yield client, proxy


def through(url: str, settings, **more: float) -> AsyncClient:
    return AsyncClient(ClientSettings(amqp_url=SecretStr(url), prefix=settings.prefix), **more)


async def test_a_sent_write_runs_once_under_the_id_it_returns_and_nobody_is_replied_to(watched):
    client, proxy = watched

    request_id = await client.send(Accounts.deposit, "a-1", 500, note="rent")
    repeated = AsyncAccounts(client.with_options(request_id=request_id)).deposit

    assert methods(bytes(proxy.received)).count(DELIVER) == 0
    assert await repeated("a-1", 500, note="rent") == 500
    assert (await AsyncAccounts(client).get_account("a-1")).balance == 500


async def test_sent_writes_travel_together_but_apart_from_calls(watched):
    client, proxy = watched
    deposit = AsyncAccounts(client).deposit

    sends = [client.send(Accounts.deposit, "a-1", 1) for _ in range(32)]
    ids = await asyncio.gather(*sends, *(deposit("a-1", 1) for _ in range(32)))

    assert methods(bytes(proxy.sent)).count(PUBLISH) == 2
    assert len({request_id for request_id in ids if isinstance(request_id, UUID)}) == 32
    while (await AsyncAccounts(client).get_account("a-1")).balance < 64:
        await asyncio.sleep(0.02)


async def test_a_sent_write_waits_for_the_worker_that_comes(start_worker, client, sql):
    first = await start_worker()
    await AsyncAccounts(client).open_account("a-1", "me")
    await first.stop()

    request_id = await client.with_options(timeout_s=5).send(Accounts.deposit, "a-1", 5)
    await start_worker()

    assert await AsyncAccounts(client.with_options(request_id=request_id)).deposit("a-1", 5) == 5
    assert await sql.fetchval("select balance from accounts.accounts") == 5


async def test_a_write_is_sent_again_when_the_connection_is_lost_before_its_confirmation(worker, settings, sql):
    async with proxied(settings.amqp_urls[0]) as (proxy, url), through(url, settings) as client:
        await AsyncAccounts(client).open_account("a-1", "me")
        sends = [asyncio.ensure_future(client.send(Accounts.deposit, "a-1", 1)) for _ in range(100)]
        await asyncio.sleep(0)
        proxy.cut()

        ids = await asyncio.gather(*sends)

        again = [AsyncAccounts(client.with_options(request_id=one)).deposit("a-1", 1) for one in ids]
        assert sorted(await asyncio.gather(*again)) == list(range(1, 101))
    assert await sql.fetchval("select balance from accounts.accounts") == 100


async def test_what_no_broker_confirms_is_no_failure_but_unknown(settings):
    async with through(NOWHERE, settings, timeout_s=0.3) as client:
        with pytest.raises(OutcomeUnknown, match=r"did not confirm accounts\.deposit in 0\.3 s") as caught:
            await client.send(Accounts.deposit, "a-1", 5)

    assert (caught.value.method, UUID(caught.value.request_id).version) == ("accounts.deposit", 7)


async def test_without_any_worker_ever_nothing_is_sent(client):
    with pytest.raises(Unroutable, match="rowcall worker"):
        await client.send(Accounts.deposit, "a-1", 5)


async def test_a_thousand_calls_that_expire_together_look_for_workers_once(start_worker, settings):
    await (await start_worker()).stop()
    async with proxied(settings.amqp_urls[0]) as (proxy, url), through(url, settings, timeout_s=1) as client:
        deposit = AsyncAccounts(client).deposit

        outcomes = await asyncio.gather(*(deposit("a-1", 1) for _ in range(1000)), return_exceptions=True)

        assert [str(outcome) for outcome in outcomes if "0 workers consume" not in str(outcome)] == []
        # One for the calls themselves, one to see the exchange, one to look; one more if they took over a second.
        assert methods(bytes(proxy.sent)).count(OPEN_CHANNEL) <= 4


async def test_workers_tell_what_they_serve_and_how_far_they_are(worker, client, settings):
    info = await client.server_info()

    assert info.families == ["platform", "accounts", "rowcall"]
    assert (info.version, info.wire_versions) == ("0.1.0", [1])
    assert (info.limits.body_bytes, info.limits.calls) == (settings.body_bytes, 64)
    assert await client.ping() > 0


async def test_a_ping_that_nobody_answers_says_so(start_worker, client):
    await (await start_worker()).stop()

    with pytest.raises(OutcomeUnknown, match=r"0 workers consume .*read; start one: rowcall worker"):
        await client.with_options(timeout_s=0.5).ping()


async def test_a_cancelled_call_may_still_run_and_its_error_says_under_which_id(start_worker, client, sql):
    first = await start_worker()
    await AsyncAccounts(client).open_account("a-1", "me")
    await first.stop()
    waiting = asyncio.ensure_future(AsyncAccounts(client).deposit("a-1", 5))
    while not any(call.attempt for call in client._transport._pending.values()):
        await asyncio.sleep(0.01)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await waiting

    assert caught.value.method == "accounts.deposit"
    assert caught.value.request_id in caught.value.__notes__[0]
    await start_worker()
    repeated = AsyncAccounts(client.with_options(request_id=UUID(caught.value.request_id)))
    assert await repeated.deposit("a-1", 5) == 5
    assert await sql.fetchval("select balance from accounts.accounts") == 5


async def test_a_time_out_of_asyncios_own_knows_the_call_it_left_behind(start_worker, client):
    await (await start_worker()).stop()

    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.2):
            await AsyncAccounts(client).get_account("a-1")

    assert caught.value.__cause__.method == "accounts.get_account"
    assert UUID(caught.value.__cause__.request_id)


async def test_a_time_out_while_it_is_looked_why_there_is_no_reply_knows_the_call_as_well(watched):
    client, proxy = watched
    hurried = AsyncAccounts(client.with_options(timeout_s=0.3))
    proxy.hold()

    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(0.6):
            await hurried.get_account("a-1")

    assert caught.value.__cause__.method == "accounts.get_account"


async def test_a_client_is_used_and_closed_on_the_event_loop_of_its_first_call(worker, client):
    await AsyncAccounts(client).open_account("a-1", "me")

    def elsewhere(work: Coroutine[None, None, object]) -> object:
        return asyncio.run(asyncio.wait_for(work, 10))

    for work in (AsyncAccounts(client).get_account("a-1"), client.close()):
        with pytest.raises(Disconnected, match="lives on another event loop"):
            await asyncio.to_thread(elsewhere, work)

    assert (await AsyncAccounts(client).get_account("a-1")).balance == 0


async def test_a_client_whose_event_loop_has_ended_says_so_and_can_be_closed(worker, settings):
    own = ClientSettings.model_validate(settings.model_dump())

    def three_runs() -> None:
        client = AsyncClient(own)
        assert asyncio.run(client.ping()) > 0
        with pytest.raises(Disconnected, match="lives on another event loop"):
            asyncio.run(asyncio.wait_for(client.ping(), 10))
        asyncio.run(client.close())

    await asyncio.to_thread(three_runs)


async def test_a_client_has_a_time_out_of_its_own(start_worker, settings):
    await (await start_worker()).stop()
    own = ClientSettings.model_validate(settings.model_dump())

    async with AsyncClient(own, timeout_s=0.25) as client, DatabaseManagerAsyncClient(own, timeout_s=0.25) as manager:
        with pytest.raises(OutcomeUnknown, match=r"get_account in 0\.25 s"):
            await AsyncAccounts(client).get_account("a-1")
        with pytest.raises(OutcomeUnknown, match=r"get_credits in 0\.25 s"):
            await manager.get_credits("nobody")
    with pytest.raises(ValueError, match="at most 300"):
        AsyncClient(own, timeout_s=301)


async def test_an_error_says_under_which_id_and_of_which_method(worker, client):
    wanted = uuid4()
    chosen = client.with_options(request_id=wanted)
    ways = {
        "accounts.deposit": AsyncAccounts(chosen).deposit("nobody", 5),
        "accounts.withdraw": AsyncAccounts(chosen).withdraw("a-1", -5),
        "accounts.open_account": AsyncAccounts(chosen).open_account("a-1", "x" * (2 << 20)),
        "accounts.deposti": chosen.call_by_name("accounts.deposti", "read", {}),
    }
    for name, call in ways.items():
        with pytest.raises(RPCError) as caught:
            await call

        assert (caught.value.request_id, caught.value.method) == (str(wanted), name)


async def test_a_method_that_nobody_serves_is_answered_with_those_that_were_probably_meant(worker, client):
    with pytest.raises(InvalidRequest, match=r"no such method; did you mean accounts\.deposit"):
        await client.call_by_name("accounts.deposti", "write", {"account_id": "a-1", "amount": 5})


async def test_a_client_that_nobody_closed_is_warned_about(worker, settings):
    clients = [AsyncClient(ClientSettings.model_validate(settings.model_dump()))]
    await clients[0].with_options(timeout_s=5).ping()
    transport = clients[0]._transport

    with pytest.warns(ResourceWarning, match="an AsyncClient was never closed"):
        forget(clients)

    await transport.close()
