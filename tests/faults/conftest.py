"""Servers that the tests of faults may kill, stop and starve: one of each, started by the first test that asks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conftest import connected
from tests.faults.serving import FAMILIES, POOL, every_place_is_free, serving
from tests.own_servers import OwnServer, own_servers
from worker.servers.postgresql import PostgreSQL
from worker.servers.rabbitmq import RabbitMQ
from worker.servers.redis import Redis
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker, scratch_database

pytest.register_assert_rewrite("tests.faults.crash_scene")


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


@pytest.fixture(scope="session")
async def own_template(own_postgresql: OwnServer, base_settings: WorkerSettings) -> AsyncIterator[str]:
    """A migrated database on the server that may be hurt."""
    async with scratch_database(own_postgresql.url) as url:
        async with local_worker(url, FAMILIES, settings=base_settings):
            pass
        yield url


@pytest.fixture
async def own_url(own_postgresql: OwnServer, own_template: str) -> AsyncIterator[str]:
    """This test's own database there."""
    async with scratch_database(own_postgresql.url, copy_of=own_template) as url:
        yield url


@pytest.fixture
async def on_own(own_url: str, base_settings: WorkerSettings) -> AsyncIterator[LocalWorker]:
    """A worker on it, all of whose connections are of use in the end."""
    async with serving(own_url, base_settings, pool_size=POOL) as worker:
        yield worker
        await every_place_is_free(worker.database, POOL)


@pytest.fixture
async def stranger(own_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's session on this test's database."""
    async with connected(own_url) as sql:
        yield sql
