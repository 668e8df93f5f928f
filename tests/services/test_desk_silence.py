"""A broker that says nothing any more, whatever the desk had asked of it: the desk says so, and waits no longer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aio_pika
import pytest
from pydantic import SecretStr

from tests.conftest import FAMILIES
from tests.proxy import Proxy, proxied
from worker import topology
from worker.desk import Desk, Filter, courier
from worker.settings import WorkerSettings

SILENT = "RabbitMQ has not answered within 1 s"
CLOSE = b"\x00\x0a\x00\x32"
"""How AMQP says that a connection shall be closed: class 10, method 50."""


@pytest.fixture
async def silent(settings: WorkerSettings, monkeypatch) -> AsyncIterator[tuple[Desk, Proxy]]:
    """A desk that waits for a second, less for a farewell than the driver would, and what can silence its broker."""
    monkeypatch.setattr(courier, "CONNECT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(courier, "CLOSE_TIMEOUT_S", 0.1)
    connection = await aio_pika.connect(settings.amqp_urls[0])
    async with connection, proxied(settings.amqp_urls[0]) as (proxy, url):
        await topology.declare(connection, settings)
        async with Desk(settings.model_copy(update={"amqp_url": SecretStr(url)}), families=FAMILIES) as desk:
            yield desk, proxy
    await topology.delete(settings)


async def test_a_replay_that_cannot_even_connect_ends(silent):
    desk, proxy = silent
    proxy.hold()

    with pytest.raises(ConnectionError, match=SILENT):
        await desk.replay(Filter())

    proxy.release()


@pytest.mark.parametrize("asked", ["requests", "replies"])
async def test_a_replay_that_the_broker_leaves_without_an_answer_ends(silent, settings, asked):
    desk, proxy = silent
    proxy.swallow(f"{settings.prefix}.{asked}".encode())

    with pytest.raises(ConnectionError, match=SILENT):
        await desk.replay(Filter())


async def test_what_waits_unmoved_is_not_called_none_when_the_broker_does_not_say(silent, settings):
    desk, proxy = silent
    proxy.swallow(f"{settings.prefix}.dead-letters".encode())

    with pytest.raises(ConnectionError, match=SILENT):
        await desk.unmoved()


async def test_a_broker_that_does_not_hear_the_farewell_takes_no_report_away(silent):
    desk, proxy = silent
    proxy.swallow(CLOSE)

    assert (await desk.replay(Filter())).steps == []
