"""Calls a Rowcall method with nothing but aio-pika and JSON; any AMQP library of any language can do the same.

``python plain_client.py write.accounts.deposit '{"account_id": "a-1", "amount": 500}'``
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika

URL = os.environ.get("ROWCALL_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/")
PREFIX = os.environ.get("ROWCALL_PREFIX", "rowcall")
USER = urlsplit(URL).username  # the broker checks it, and Rowcall tells callers apart by it
WAIT_S = 10


async def call(routing_key: str, args: dict[str, Any]) -> Any:
    """Publish one call under ``lane.family.method``. Its reply holds ``result``, or ``error`` and ``message``."""
    async with asyncio.timeout(WAIT_S), await aio_pika.connect(URL) as connection:
        channel = await connection.channel()
        replies = await channel.declare_queue(f"{PREFIX}.replies.{uuid4()}", exclusive=True)
        requests = await channel.get_exchange(f"{PREFIX}.requests")
        body = json.dumps({"method": routing_key.partition(".")[2], "args": args}).encode()
        marks = {"correlation_id": str(uuid4()), "user_id": USER}
        await requests.publish(aio_pika.Message(body, reply_to=replies.name, expiration=WAIT_S, **marks), routing_key)
        async with replies.iterator(no_ack=True) as incoming:
            reply = await anext(incoming)
    return json.loads(reply.body)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(call(sys.argv[1], json.loads(sys.argv[2]))), indent=2))
