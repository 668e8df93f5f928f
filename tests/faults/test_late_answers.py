"""What is said of one attempt is not taken for the word on the next."""

from __future__ import annotations

import asyncio
from uuid import UUID

import aio_pika
import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient, DeadlineExceeded, OutcomeUnknown
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
