"""What somebody does to a broker that runs: queues and exchanges deleted, what is connected closed, a queue filled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient, InternalError, InvalidRequest, OutcomeUnknown, Unroutable
from tests.acceptance.broker import Peer, connected_peer, dead_letter
from tests.conftest import NAMED
from tests.faults.given import PATIENCE_S, Place, client_settings, ledger, place, until, until_said
from tests.faults.patient import AsyncPatient
from tests.own_servers import OwnServer


@pytest.fixture
async def there(settings, tmp_path) -> AsyncIterator[Place]:
    async with place(settings, tmp_path, settings.amqp_urls[0]) as there:
        yield there


@pytest.fixture
async def own_there(own_rabbitmq: OwnServer, settings, tmp_path) -> AsyncIterator[Place]:
    async with place(settings, tmp_path, own_rabbitmq.url) as there:
        yield there


@pytest.fixture
async def peer(there: Place) -> AsyncIterator[Peer]:
    async with connected_peer(there.settings) as peer:
        yield peer


async def test_queues_deleted_under_a_worker_are_declared_anew_and_calls_go_on(there: Place, peer: Peer, sql):
    for lane in ("write", "read"):
        await peer.channel.queue_delete(f"{there.settings.prefix}.{lane}")
        await until_said(there.worker, '"consuming"', times=2 if lane == "write" else 3)

    await asyncio.gather(*(there.accounts.deposit("a-1", 1) for _ in range(70)))

    assert await ledger(sql) == (70, 70)
    assert (await there.accounts.get_account("a-1")).balance == 70


@pytest.mark.heavy
async def test_what_lay_in_a_deleted_queue_is_unknown_at_its_deadline_and_what_comes_after_is_unroutable(
    there: Place, peer: Peer
):
    await there.worker.stop()
    flights = there.client._transport._flights
    before = flights.published
    lying = asyncio.ensure_future(AsyncAccounts(there.client.with_options(timeout_s=5)).deposit("a-1", 1))
    await until(lambda: flights.published > before and not list(flights))
    await peer.channel.queue_delete(f"{there.settings.prefix}.write")

    with pytest.raises(Unroutable, match="rowcall worker"):
        await there.accounts.deposit("a-1", 1)
    with pytest.raises(OutcomeUnknown, match=r"could not be looked at.*NOT_FOUND"):
        await lying


@pytest.mark.heavy
async def test_an_exchange_deleted_under_a_client_is_an_answer_and_a_worker_makes_it_anew(there: Place, peer: Peer):
    await peer.channel.exchange_delete(peer.names.requests)

    with pytest.raises(Unroutable, match="rowcall worker"):
        await there.accounts.deposit("a-1", 1)
    await there.worker.stop()
    await there.start()

    assert await there.accounts.deposit("a-1", 1) == 1


@pytest.mark.heavy
async def test_a_dead_letter_waits_for_its_queue_to_be_bound_again_and_is_kept_once(there: Place, peer: Peer, sql):
    await sql.execute("alter table accounts.accounts add constraint broken check (balance < 1)")
    queue = await peer.channel.get_queue(peer.names.dead_letters)
    await queue.unbind(peer.names.dead, "#")

    with pytest.raises(InternalError) as caught:
        await there.accounts.deposit("a-1", 1)
    letter = await dead_letter(sql)

    assert (str(letter["id"]), letter["reason"]) == (caught.value.request_id, "internal")
    assert await sql.fetchval("select count(*) from rowcall.dead_letters") == 0


@pytest.mark.heavy
async def test_connections_that_an_operator_closes_fail_no_call(own_rabbitmq: OwnServer, own_there: Place, sql):
    calls = [asyncio.ensure_future(own_there.accounts.deposit("a-1", 1)) for _ in range(200)]
    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)

    await own_rabbitmq.control("close_all_connections", "maintenance")
    calls += [asyncio.ensure_future(own_there.accounts.deposit("a-1", 1)) for _ in range(200)]

    assert sorted(await asyncio.gather(*calls)) == list(range(1, 401))
    assert await ledger(sql) == (400, 400)


@pytest.mark.heavy
async def test_a_full_queue_is_named_at_the_deadline_and_the_refused_run_when_there_is_room(
    own_rabbitmq: OwnServer, own_there: Place, sql
):
    prefix = own_there.settings.prefix
    await own_rabbitmq.control("set_policy", prefix, f"^{prefix}[.]write$", '{"max-length": 1}', "--apply-to", "queues")
    await own_there.worker.stop()
    transport = own_there.client._transport
    before = transport._flights.published
    waiting = [asyncio.ensure_future(own_there.accounts.deposit("a-1", 1)) for _ in range(640)]
    await until(lambda: transport._flights.published >= before + 10 and not list(transport._flights))

    with pytest.raises(OutcomeUnknown, match=r"refused it \d+ times and kept nothing of it.*is full"):
        await AsyncAccounts(own_there.client.with_options(timeout_s=2)).withdraw("a-1", 1)
    await own_there.start()

    await asyncio.gather(*waiting)
    assert await ledger(sql) == (640, 640)


@contextlib.asynccontextmanager
async def told(broker: OwnServer, **values: int) -> AsyncIterator[None]:
    """While the block runs new channels go by these settings of the broker's; then by those of before."""

    async def tell(name: str, value: int) -> int:
        """What it was."""
        said = f"{{ok, V}} = application:get_env(rabbit, {name}), application:set_env(rabbit, {name}, {value}), V."
        return int(await broker.control("eval", said))

    usual = {name: await tell(name, value) for name, value in values.items()}
    try:
        yield
    finally:
        for name, value in usual.items():
            await tell(name, value)


@pytest.mark.heavy
async def test_a_channel_that_the_broker_closes_while_a_call_runs_costs_a_connection_and_no_call(
    own_rabbitmq: OwnServer, settings, tmp_path, sql
):
    wider = settings.model_copy(update={"families": [*NAMED, "tests.faults.patient:family"]})
    async with (
        told(own_rabbitmq, consumer_timeout=2000, channel_tick_interval=500),
        place(wider, tmp_path, own_rabbitmq.url) as there,
    ):
        patient = AsyncPatient(there.client.with_options(timeout_s=PATIENCE_S))
        long = asyncio.ensure_future(patient.ponder("once", 5000))
        await until_said(there.worker, "its channel closed")
        calls = [asyncio.ensure_future(there.accounts.deposit("a-1", 1)) for _ in range(200)]

        assert await long == 1
        assert sorted(await asyncio.gather(*calls)) == list(range(1, 201))
    assert await sql.fetchval("select times from patient.notes") == 1
    assert await ledger(sql) == (200, 200)


@pytest.mark.heavy
async def test_what_is_too_large_for_the_broker_is_refused_by_name_and_the_others_run_once(
    own_rabbitmq: OwnServer, own_there: Place, sql
):
    async with (
        told(own_rabbitmq, max_message_size=100_000),
        AsyncClient(client_settings(own_there.settings, timeout_s=PATIENCE_S)) as client,
    ):
        calls = [asyncio.ensure_future(AsyncAccounts(client).deposit("a-1", 1)) for _ in range(100)]
        look, large = "accounts.get_account", {"account_id": "x" * 200_000}
        with pytest.raises(InvalidRequest, match="takes no message over 100000") as refused:
            await client.call_by_name(look, "read", large)
        together = [client.call_by_name(look, "read", {"account_id": "x" * 60_000}) for _ in range(2)]
        answers = await asyncio.gather(*together, return_exceptions=True)

        await asyncio.gather(*calls)
    assert refused.value.details == {"reason": "too_large", "limit": 100_000}
    assert ["max_message_size" in str(answer) for answer in answers] == [False, False]
    assert await ledger(sql) == (100, 100)


@pytest.mark.heavy
async def test_frames_are_no_larger_than_the_broker_takes(own_rabbitmq: OwnServer, own_there: Place):
    await own_rabbitmq.control("eval", "application:set_env(rabbit, frame_max, 8192).")
    try:
        async with AsyncClient(client_settings(own_there.settings, own_rabbitmq.url)) as client:
            with pytest.raises(InvalidRequest, match="account_id"):
                await client.call_by_name("accounts.get_account", "read", {"account_id": "x" * 100_000})
            assert client._transport._link.socket.frame_max == 8192
    finally:
        await own_rabbitmq.control("eval", "application:set_env(rabbit, frame_max, 131072).")
