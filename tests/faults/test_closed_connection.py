"""A connection that went a moment ago is a lost connection, not an error of its own."""

from __future__ import annotations

import asyncio

import aio_pika
import pytest

from rpc_client.connection import open_channel
from tests.proxy import proxied
from worker.servers import Servers


async def test_a_channel_on_a_connection_that_has_just_gone_is_a_connection_error(servers: Servers):
    async with proxied(servers.amqp_url) as (proxy, way):
        connection = await aio_pika.connect(way)
        assert connection.transport is not None
        driver = connection.transport.connection
        proxy.cut()
        async with asyncio.timeout(30):
            while not driver.is_closed:
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            await open_channel(connection)
        await connection.close()
