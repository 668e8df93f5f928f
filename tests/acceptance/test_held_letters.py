"""Letters that cannot be kept for long: a worker holds on to its measure, however often they come again."""

from __future__ import annotations

import asyncio

import aio_pika
import aio_pika.abc
import structlog

from rpc_client.connection import Link
from tests.acceptance.broker import connected_peer
from worker import topology
from worker.discretion import Discretion
from worker.keys import KeyRing, new_key
from worker.mover import PREFETCH, Mover
from worker.settings import WorkerSettings
from worker.testing import LocalWorker

LETTERS, ROUNDS = PREFETCH + 4, 12


async def test_letters_that_come_again_and_again_add_no_consumers(settings: WorkerSettings, local: LocalWorker):
    mover = Mover(settings, local.database, {}, Discretion(KeyRing([new_key()])), held_s=0.1)

    async def on_up(connection: aio_pika.abc.AbstractConnection) -> None:
        await topology.declare(connection, settings)
        mover.attach(connection, link.socket)

    link = Link(settings.amqp_urls, name="mover", heartbeat_s=settings.heartbeat_s, on_up=on_up)
    async with connected_peer(settings) as peer:
        with structlog.testing.capture_logs() as lines:
            link.start()
            running = asyncio.create_task(mover.run())
            await link.up.wait()
            exchange = await peer.channel.get_exchange(peer.names.dead)
            sealed = KeyRing([new_key()]).seal(b"{}", place="queue")
            message = aio_pika.Message(sealed, user_id=settings.caller, headers={"x-rowcall-sealed": 1})
            for _ in range(LETTERS):
                await exchange.publish(message, "write.accounts.deposit", timeout=10)
            async with asyncio.timeout(30):
                while len(lines) < LETTERS * ROUNDS:
                    await asyncio.sleep(0.02)
        queue = await peer.channel.declare_queue(peer.names.dead_letters, passive=True)
        running.cancel()
        await asyncio.wait([running])
        await link.stop()

    assert 2 <= (queue.declaration_result.consumer_count or 0) <= 3
