"""What is said of one attempt is not taken for the word on the next."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

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
    OutcomeUnknown,
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


async def test_that_an_earlier_attempt_came_too_late_is_not_said_of_a_later_one(queue, client: AsyncClient):
    channel, writes = queue

    async def attempt(timeout_s: float, id_of: UUID | None = None):
        hurried = client.with_options(timeout_s=timeout_s, request_id=id_of)
        return await AsyncAccounts(hurried).deposit("a-1", 5)

    with pytest.raises(OutcomeUnknown) as caught:
        await attempt(0.5)
    request_id = UUID(caught.value.request_id)

    async with asyncio.TaskGroup() as tasks:
        again = tasks.create_task(attempt(30, request_id))
        message = await take(writes)
        assert orjson.loads(message.body)["id"] == str(request_id)
        late = encode_error(DeadlineExceeded("the first attempt expired before it could run"))
        for outcome in (late, '"result":5}'):
            reply = aio_pika.Message(encode_reply(str(request_id), outcome))
            await channel.default_exchange.publish(reply, message.reply_to)
    assert await again == 5


@pytest.mark.parametrize("error", [Unavailable, InternalError])
async def test_what_is_said_of_an_earlier_attempt_does_not_end_the_next(queue, client: AsyncClient, error):
    channel, writes = queue
    bound = AsyncAccounts(client.with_options(timeout_s=30, request_id=uuid4()))
    given_up = asyncio.create_task(bound.deposit("a-1", 5))
    await take(writes)
    given_up.cancel()
    await asyncio.wait([given_up])

    async with asyncio.TaskGroup() as tasks:
        again = tasks.create_task(bound.deposit("a-1", 5))
        message = await take(writes)
        sent = orjson.loads(message.body)
        of_the_first = encode_error(error("the call did not run"), attempt=1)
        for outcome in (of_the_first, '"result":5}'):
            reply = aio_pika.Message(encode_reply(sent["id"], outcome))
            await channel.default_exchange.publish(reply, message.reply_to)

    assert sent["attempt"] == 2
    assert again.result() == 5


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
