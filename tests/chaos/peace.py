"""After the last fault: wait until nothing moves any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import aio_pika
import asyncpg
from aio_pika.abc import AbstractConnection

from rpc_client.wire import Names
from tests.chaos.crew import Place
from worker.settings import WorkerSettings

PEACE_S = 60.0
LOOK_S = 0.3
CALM_LOOKS = 5
"""So often in a row nothing may be left: what is in a worker's hand comes back as ready only when that one has gone."""

RECORDED = """
select not exists (
    select 1 from rowcall.receipts where events is not null and seq > (select position from rowcall.relay)
)
"""


async def peace(settings: WorkerSettings, workers: Sequence[Place]) -> list[str]:
    """Wait until every worker works, the queues are empty, and every event is recorded; what of it never came."""
    missing: list[str] = ["nothing was looked at"]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PEACE_S), await aio_pika.connect(settings.amqp_urls[0]) as broker:
            database = await asyncpg.connect(settings.postgres_url.get_secret_value())
            calm = 0
            try:
                while calm < CALM_LOOKS:
                    missing = [
                        *(f"{place.name} does not take calls" for place in workers if not place.works),
                        *await _waiting(broker, Names(settings.prefix)),
                        *([] if await database.fetchval(RECORDED) else ["events wait to be recorded"]),
                    ]
                    calm = 0 if missing else calm + 1
                    await asyncio.sleep(LOOK_S)
            finally:
                database.terminate()
            return []
    return [f"no peace within {PEACE_S:g} s: {what}" for what in missing]


async def _waiting(broker: AbstractConnection, names: Names) -> list[str]:
    """Which queues still hold messages that nobody has taken, or have nobody to take them."""
    waiting = []
    async with broker.channel() as channel:
        for queue in (names.queue("read"), names.queue("write"), names.dead_letters):
            found = (await channel.declare_queue(queue, passive=True)).declaration_result
            if found.message_count or not found.consumer_count:
                waiting.append(f"{found.message_count} in {queue}, {found.consumer_count} take from it")
    return waiting
