"""Replies that are ready together leave as one message, as far as brokers take messages of that size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import aio_pika
import pytest

from rpc_client.wire import Names
from worker.calls import Origin
from worker.discretion import Discretion
from worker.keys import KeyRing
from worker.replies import MOST_BYTES, Replies
from worker.settings import WorkerSettings

SMALL, LARGE = b"x" * 1000, b"y" * (MOST_BYTES // 3)


@pytest.fixture
async def replies(settings: WorkerSettings) -> AsyncIterator[Replies]:
    replies = Replies(settings, Discretion(KeyRing([])))
    replies.link.start()
    await replies.link.up.wait()
    yield replies
    await replies.link.stop()


async def received(replies: Replies, settings: WorkerSettings, *messages: list[bytes]) -> list[list[bytes]]:
    """What comes of the replies to these messages, all ready in one tick: messages, each as its lines."""
    async with await aio_pika.connect(settings.amqp_urls[0]) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(Names(settings.prefix).replies(uuid4()), exclusive=True)
        origin = Origin("tests", queue.name, None, None, redelivered=False)
        await asyncio.gather(*(replies.send(origin, lines) for lines in messages))
        found = []
        while (message := await queue.get(fail=False, no_ack=True)) is not None:
            found.append(message.body.split(b"\n"))
        return found


async def test_what_is_ready_together_is_one_message(replies, settings):
    assert await received(replies, settings, [SMALL] * 64, [SMALL] * 2) == [[SMALL] * 66]


async def test_one_messages_replies_leave_in_several_where_they_are_large(replies, settings):
    assert await received(replies, settings, [LARGE] * 8) == [[LARGE] * 3, [LARGE] * 3, [LARGE] * 2]


async def test_replies_to_several_messages_do_not_grow_beyond_one(replies, settings):
    assert await received(replies, settings, [LARGE] * 2, [LARGE] * 2) == [[LARGE] * 2, [LARGE] * 2]


async def test_a_reply_that_is_larger_by_itself_travels_alone(replies, settings):
    huge = b"z" * (MOST_BYTES + 1)

    assert await received(replies, settings, [SMALL, huge, SMALL]) == [[SMALL], [huge], [SMALL]]
