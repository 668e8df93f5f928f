"""The relay reads and appends no more at once than Redis and the way to it bear."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from redis.exceptions import RedisError

from rpc_client.record import Place
from tests.proxy import proxied
from tests.record import client_of, committed, complete, draw, own_redis, recorded, relaying
from tests.services.conftest import NewCopying
from worker import relay
from worker.copying import BYTES, EVENTS
from worker.served import Served
from worker.settings import WorkerSettings
from worker.stream import Stream


async def test_a_large_receipt_makes_the_next_batch_small(new_copying: NewCopying, recording, sql):
    for it in range(200):
        await draw(sql, f"{it:03}" * 10_000)

    copying = await new_copying()
    await copying.copy()

    assert len(await recorded(recording)) == 200
    assert copying.receipts < 64


class Noted(Stream):
    """Notes how many events and how many bytes are appended at once."""

    def __init__(self, settings: WorkerSettings) -> None:
        super().__init__(settings)
        self.sizes: list[tuple[int, int]] = []

    async def append(self, end: Place, generation: str, ids: Sequence[str], texts: Sequence[str]) -> bool:
        self.sizes.append((len(ids), sum(map(len, texts))))
        return await super().append(end, generation, ids, texts)


@pytest.mark.parametrize(("receipts", "told"), [(40, ["ä" * 100_000]), (30, ["it"] * 300)])
async def test_what_is_too_much_for_one_append_is_cut_between_receipts(
    receipts: int, told: list[str], new_copying: NewCopying, recording, sql
):
    for _ in range(receipts):
        await draw(sql, *told)
    async with Noted(recording) as noted:
        copying = replace(await new_copying(), stream=noted)
        await copying.copy()

    assert len(noted.sizes) > 1
    assert all(events <= EVENTS and size <= BYTES * 1.1 for events, size in noted.sizes)
    assert await recorded(recording) == await committed(sql)


async def test_after_an_append_that_failed_fewer_receipts_are_read(settings, recording, new_copying: NewCopying, sql):
    async with proxied(settings.redis_url.get_secret_value()) as (proxy, url):
        copying = await new_copying(settings.model_copy(update={"redis_url": SecretStr(url)}))
        for it in range(3):
            await draw(sql, it)
        before = copying.receipts
        proxy.refuse(1)

        with pytest.raises(RedisError):
            await copying.copy()

    assert copying.receipts == before // 2


async def test_a_full_redis_is_given_room_by_keeping_fewer_events(
    settings: WorkerSettings, served: Served, sql, tmp_path: Path
):
    async with own_redis(tmp_path) as server:
        own = settings.model_copy(update={"redis_url": SecretStr(server.url)})
        for it in range(40):
            await draw(sql, *[f"{it}" * 1000] * 100)
        async with relaying(own, served), client_of(own) as client:
            await complete(own, sql)
            full = (await client.info("memory"))["used_memory"] - 500_000
        async with client_of(own) as client:
            await client.config_set("maxmemory", full)
        await draw(sql, "one more")

        async with relaying(own.model_copy(update={"event_entries": 1000}), served):
            await complete(own, sql)


async def test_the_session_outlasts_redis_being_away(
    settings: WorkerSettings, served: Served, sql, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(relay, "FROZEN_S", 1)
    monkeypatch.setattr(relay, "LONGEST_PAUSE_S", 0.2)
    age = "select max(extract(epoch from clock_timestamp() - backend_start)) from pg_stat_activity"
    age += " where application_name = 'rowcall relay' and datname = current_database()"
    async with own_redis(tmp_path) as server:
        own = settings.model_copy(update={"redis_url": SecretStr(server.url)})
        await server.stop()

        async with relaying(own, served), asyncio.timeout(10):
            while (await sql.fetchval(age) or 0) < 2:
                await asyncio.sleep(0.05)
