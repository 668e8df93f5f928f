"""Servers that the tests of faults may kill, stop and starve: one of each, started by the first test that asks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.own_servers import OwnServer, own_servers
from worker.servers.postgresql import PostgreSQL
from worker.servers.rabbitmq import RabbitMQ
from worker.servers.redis import Redis


@pytest.fixture(scope="session")
async def own_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnServer]:
    """A broker of our own. Who stops it starts it again."""
    async with own_servers(tmp_path_factory.mktemp("own-rabbitmq"), [RabbitMQ]) as servers:
        yield servers.rabbitmq


@pytest.fixture(scope="session")
async def own_postgresql(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnServer]:
    """A PostgreSQL of our own. Who stops it starts it again."""
    async with own_servers(tmp_path_factory.mktemp("own-postgresql"), [PostgreSQL]) as servers:
        yield servers.postgresql


@pytest.fixture(scope="session")
async def own_redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[OwnServer]:
    """A Redis of our own. Who stops it starts it again."""
    async with own_servers(tmp_path_factory.mktemp("own-redis"), [Redis]) as servers:
        yield servers.redis
