"""Bad input beside good: in one message, under one id, without a reply address, or refused before it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from uuid import uuid4

import aiormq.exceptions
import pytest
from pamqp.commands import Basic

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings, InvalidRequest
from rpc_client.contract.platform import AgentNode, AsyncPlatform, GraphModel
from rpc_client.wire import Names
from tests.acceptance.bad_input.odd import Odd
from tests.acceptance.bad_input.place import Place
from tests.acceptance.bad_input.row import DEPOSIT, GET, Bytes, amount, deposit
from tests.acceptance.broker import connected_peer


@pytest.fixture
async def client(place: Place) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(ClientSettings.model_validate(place.settings.model_dump())) as client:
        yield client


async def balance(place: Place) -> int:
    return await place.sql.fetchval("select balance from accounts.accounts where account_id = 'a-1'")


async def test_every_line_gets_its_own_reply_and_its_neighbours_run(place: Place):
    before = await balance(place)
    lines = [deposit(), b"garbage", b"", amount(b"NaN"), deposit(), b'{"id":"x"}']

    replies = await place.ask(b"\n".join(lines), DEPOSIT, {"correlation_id": None})

    results = [reply.get("error") or reply["result"] - before for reply in replies]
    assert results[1] == "InvalidRequest"
    assert {results[0], results[3]} == {5, 10}
    assert results[2::2] == ["InvalidRequest", "InvalidRequest"]
    assert [reply["id"] for reply in replies][1::3] == [None, "x"]
    await place.still_serves()


async def test_an_id_with_other_arguments_is_refused_by_its_receipt(place: Place):
    first = deposit()
    await place.ask(first, DEPOSIT, {})
    before = await place.checksum()

    (reply,) = await place.ask(first.replace(b":5", b":6"), DEPOSIT, {})

    assert reply["error"] == "IdempotencyKeyReused"
    await place.still_serves()
    assert await place.checksum() == before


@pytest.mark.parametrize(
    "body", [amount(b"-1"), b"garbage", deposit(b',"x":1')], ids=["argument", "garbage", "unknown"]
)
async def test_a_refused_write_that_nobody_waits_for_is_kept(place: Place, body: bytes):
    before = await place.checksum()

    await place.send(body, DEPOSIT, {"reply_to": None})
    letter = await place.dead_letter()

    assert (letter["body"], letter["reason"]) == (body, "malformed")
    await place.still_serves()
    assert await place.checksum() == before


async def test_only_the_refused_lines_of_such_a_message_are_kept(place: Place):
    before, bad = await balance(place), amount(b"-1")

    await place.send(b"\n".join([deposit(), bad]), DEPOSIT, {"reply_to": None})
    letter = await place.dead_letter()

    assert letter["body"] == bad
    assert await balance(place) == before + 5
    assert await place.buried() == 0


async def test_a_read_that_nobody_waits_for_is_dropped(place: Place):
    await place.send(b"garbage", GET, {"reply_to": None})

    await place.still_serves()
    assert await place.buried() == 0


async def test_a_routing_key_that_is_no_utf_8_is_answered_and_where_nobody_is_told_buried(place: Place):
    key = Bytes("write." + "\xff" * 249)

    (reply,) = await place.ask(deposit(), key, {})
    await place.send(deposit(), key, {"reply_to": "victim"})
    letter = await place.dead_letter()

    assert (reply["error"], reply["details"]["reason"]) == ("InvalidRequest", "wrong_lane")
    assert letter["reason"] == "malformed"
    await place.still_serves()


async def test_an_expiration_that_is_no_number_costs_its_sender_the_channel(place: Place):
    async with connected_peer(place.settings) as careless:
        channel = await careless.channel.get_underlay_channel()
        with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed):
            await channel.basic_publish(
                deposit(),
                exchange=Names(place.settings.prefix).requests,
                routing_key=DEPOSIT,
                properties=Basic.Properties(expiration="abc"),
                timeout=5,
            )
        with contextlib.suppress(aiormq.exceptions.ChannelInvalidStateError):
            await careless.channel.close()

    await place.still_serves()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "invalid_argument"),
        (float("inf"), "invalid_argument"),
        (2**64, "invalid_argument"),
        ("\0", "invalid_argument"),
        ("\ud800", "invalid_argument"),
        (object(), "invalid_argument"),
        (b"\xff", "invalid_argument"),
        ("x" * (1 << 20), "too_large"),
        ([[[]] * 10**5] * 4, "too_large"),
    ],
    ids=["nan", "infinity", "2^64", "nul", "surrogate", "object", "bytes", "a megabyte", "many lists"],
)
async def test_our_client_is_told_at_once_by_name_what_cannot_be_sent(place: Place, client, value, reason):
    before = await place.checksum()

    with pytest.raises(InvalidRequest) as caught:
        await client.call(Odd.get_value, (value,), {})

    assert caught.value.details["reason"] == reason
    assert caught.value.details.get("argument", "given") == "given"
    assert caught.value.method == "odd.get_value"
    assert await client.call(Odd.get_small, (5,), {}) == 5
    assert await place.checksum() == before


async def test_our_client_is_told_at_once_of_arguments_that_are_too_deep(place: Place, client):
    deep: list[object] = []
    for _ in range(250):
        deep = [deep]

    with pytest.raises(InvalidRequest, match="ROWCALL_MAX_DEPTH") as caught:
        await client.call(Odd.get_value, (deep,), {})

    assert caught.value.details == {"reason": "too_deep", "limit": 64}


async def test_of_many_who_call_at_once_only_the_one_with_bad_arguments_fails(place: Place, client):
    accounts, before = AsyncAccounts(client), await balance(place)

    results = await asyncio.gather(
        *(accounts.deposit("a-1", 0 if n == 7 else 1) for n in range(20)), return_exceptions=True
    )

    assert [type(result) for result in results] == [InvalidRequest if n == 7 else int for n in range(20)]
    assert await balance(place) == before + 19


async def test_a_refused_transition_answers_the_present_state_and_of_two_at_once_one_wins(place: Place, client):
    platform = AsyncPlatform(client)
    await platform.create_user("u-1", "u@example.org")
    nodes = [AgentNode(id="n-1", block_id="b-1")]
    graph = await platform.create_graph(GraphModel(id="g-1", user_id="u-1", nodes=nodes))
    run = await platform.create_graph_execution(graph.id, graph.version, {}, "u-1")
    node = run.node_executions[0].node_exec_id
    await platform.update_node_execution_status(node, "RUNNING")

    ends = await asyncio.gather(
        platform.update_node_execution_status(node, "COMPLETED"), platform.update_node_execution_status(node, "FAILED")
    )
    late = await platform.update_node_execution_status(node, "RUNNING")

    assert {end.status for end in ends} == {late.status}
    assert late.status.value in {"COMPLETED", "FAILED"}


async def test_an_expired_repeat_is_fenced_and_says_so(place: Place):
    before, body = await balance(place), deposit(more=b',"deadline":%d,"attempt":2' % (time.time() * 1000 - 1))

    (reply,) = await place.ask(body, DEPOSIT, {"message_id": uuid4().hex})

    assert (reply["error"], reply["details"]["reason"]) == ("Conflict", "fenced")
    assert await balance(place) == before
    await place.still_serves()
