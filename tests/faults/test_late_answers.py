"""What is said of one attempt is not taken for the word on the next."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import aio_pika
import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import (
    AsyncClient,
    DeadlineExceeded,
    IdempotencyKeyReused,
    InternalError,
    InvalidRequest,
    Unavailable,
)
from rpc_client.wire import Names, encode_error, encode_reply
from tests.acceptance.broker import take
from worker import topology


@pytest.fixture
async def queue(settings):
    """The queue of writes, with this test in the place of the workers."""
    connection = await aio_pika.connect(settings.amqp_urls[0])
    async with connection:
        await topology.declare(connection, settings)
        channel = await connection.channel()
        yield channel, await channel.get_queue(Names(settings.prefix).queue("write"))
    await topology.delete(settings)


def tag(message: aio_pika.abc.AbstractIncomingMessage) -> tuple[int, int]:
    """By which its sender knows this attempt."""
    sent = orjson.loads(message.body)
    return sent["attempt"], sent["deadline"]


@pytest.mark.parametrize("error", [DeadlineExceeded, Unavailable, InternalError])
async def test_what_is_said_of_an_attempt_that_was_given_up_does_not_end_the_repeat(queue, client: AsyncClient, error):
    channel, writes = queue
    bound = AsyncAccounts(client.with_options(timeout_s=30, request_id=uuid4()))
    given_up = asyncio.create_task(bound.deposit("a-1", 5))
    first = await take(writes)
    given_up.cancel()
    await asyncio.wait([given_up])

    async with asyncio.TaskGroup() as tasks:
        again = tasks.create_task(bound.deposit("a-1", 5))
        message = await take(writes)
        for outcome in (encode_error(error("the call did not run"), tag(first)), '"result":5}'):
            reply = aio_pika.Message(encode_reply(orjson.loads(message.body)["id"], outcome))
            await channel.default_exchange.publish(reply, message.reply_to)

    assert again.result() == 5
    assert (tag(first)[0], tag(message)[0]) == (1, 1)


async def test_what_is_said_of_the_only_attempt_ends_its_call(queue, client: AsyncClient):
    channel, writes = queue
    calling = asyncio.ensure_future(AsyncAccounts(client.with_options(timeout_s=30)).deposit("a-1", 5))
    message = await take(writes)
    outcome = encode_error(Unavailable("the call did not run"), tag(message))
    reply = aio_pika.Message(encode_reply(orjson.loads(message.body)["id"], outcome))
    await channel.default_exchange.publish(reply, message.reply_to)

    with pytest.raises(Unavailable):
        await calling


async def test_an_answer_that_comes_twice_is_not_that_of_another_call_under_its_id(queue, client: AsyncClient):
    channel, writes = queue
    bound = AsyncAccounts(client.with_options(timeout_s=30, request_id=uuid4()))
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(bound.deposit("a-1", 5))
        message = await take(writes)
        answer = encode_reply(orjson.loads(message.body)["id"], '"result":5}')
        await channel.default_exchange.publish(aio_pika.Message(answer), message.reply_to)
    assert first.result() == 5

    with pytest.raises(IdempotencyKeyReused, match=r"belongs to a call of accounts\.deposit"):
        await bound.deposit("a-1", 6)


async def test_an_id_whose_call_was_refused_may_be_used_for_a_better_one(queue, client: AsyncClient):
    channel, writes = queue
    bound = AsyncAccounts(client.with_options(timeout_s=30, request_id=uuid4()))

    async def answered(amount: int, outcome: str) -> int:
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(bound.deposit("a-1", amount))
            message = await take(writes)
            reply = aio_pika.Message(encode_reply(orjson.loads(message.body)["id"], outcome))
            await channel.default_exchange.publish(reply, message.reply_to)
        return call.result()

    with pytest.raises(ExceptionGroup) as caught:
        await answered(5, encode_error(InvalidRequest("not so")))
    assert caught.group_contains(InvalidRequest)
    assert await answered(6, '"result":6}') == 6
