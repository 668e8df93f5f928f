"""The family's failures leave nothing behind; its marks and claims can be counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from rpc_client.errors import Conflict, InternalError, RPCError
from tests.chaos.family import AsyncChaos, family
from tests.conftest import connected
from worker.servers import Servers
from worker.testing import LocalWorker, local_worker, scratch_database


@pytest.fixture
async def place(servers: Servers, base_settings) -> AsyncIterator[tuple[LocalWorker, str]]:
    async with (
        scratch_database(servers.postgres_url) as url,
        local_worker(url, [family], settings=base_settings) as worker,
    ):
        yield worker, url


async def test_what_is_mended_leaves_its_mark_and_kills_nobody(place, monkeypatch):
    worker, _ = place
    chaos = AsyncChaos(worker.client)
    mark = str(uuid4())
    monkeypatch.setenv("CHAOS_MENDED", "1")

    assert [await chaos.trip(mark), await chaos.kill(mark), await chaos.look(mark)] == [1, 1, 2]


async def test_what_fails_leaves_no_mark_and_what_is_claimed_is_one_callers(place):
    worker, url = place
    chaos = AsyncChaos(worker.client)
    mark = str(uuid4())

    for failing, error in ((chaos.refuse, Conflict), (chaos.trip, InternalError), (chaos.kill, InternalError)):
        with pytest.raises(error):
            await failing(mark)
    with pytest.raises(RPCError):
        await AsyncChaos(worker.client.with_options(timeout_s=0.3)).overrun(mark)
    assert await chaos.look(mark) == 0
    assert worker.events == []

    assert [await chaos.note(mark), await chaos.linger(mark, 1), await chaos.look(mark)] == [1, 2, 2]
    assert [await chaos.claim(mark), await chaos.offer(mark), await chaos.claim(mark)] == [None, 1, 1]
    assert [event.type for event in worker.events] == ["Noted", "Noted", "Offered", "Claimed"]
    async with connected(url) as sql:
        assert await sql.fetch("select task_id, mark from chaos.claims") == [(1, mark)]
