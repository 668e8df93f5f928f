"""Real servers, a database of its own for every test made from one migrated template, and names nobody else has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import structlog
from pydantic import SecretStr

from accounts import AsyncAccounts
from accounts.services import family as accounts_family
from rpc_client import AsyncClient, ClientSettings
from rpc_client.contract.platform import AsyncPlatform
from rpc_client.events import Event
from tests.containers import Containers
from tests.nursery import Nursery
from tests.nursery import nursery as nursery_for
from tests.own_servers import passing_postgresql
from tests.processes import StartWorker, WorkerProcess, environment, workers
from worker.checks import check_schema
from worker.database import Database
from worker.migrations import migrate
from worker.pipeline import Pipeline
from worker.served import Served, serve
from worker.servers import Servers, down, find, started
from worker.servers.docker import Docker
from worker.services.platform import family as platform_family
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker, scratch_database

# Failures are read, so what worked need not be told.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

ROOT = Path(__file__).parent.parent
SERVERS_S = 1500
OWN_SERVERS = {"own_rabbitmq", "own_postgresql", "own_redis"}
OWN_SERVERS_S = 240
RUN = uuid4().hex[:8]
SERVERS = pytest.StashKey["Servers"]()
FAMILIES = [platform_family, accounts_family]
NAMED = ["worker.services.platform:family", "accounts.services:family"]


def pytest_configure() -> None:
    """A shell ignores SIGINT for what it runs in the background, and so would all that tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before the first of several processes that share the tests: find the servers once, for all of them."""
    if SERVERS not in node.config.stash:
        runner, borrowing = asyncio.Runner(), borrowed()
        node.config.add_cleanup(runner.close)
        node.config.stash[SERVERS] = runner.run(borrowing.__aenter__())
        node.config.add_cleanup(lambda: runner.run(borrowing.__aexit__(None, None, None)))
    node.workerinput["servers"] = asdict(node.config.stash[SERVERS])


@pytest.fixture(scope="session")
async def servers(request: pytest.FixtureRequest) -> AsyncIterator[Servers]:
    """The three servers, wherever they are; a missing one is an error, never a skip."""
    if (shared := getattr(request.config, "workerinput", None)) is not None:
        yield Servers(**shared["servers"])
        return
    async with borrowed() as found:
        yield found


@contextlib.asynccontextmanager
async def borrowed() -> AsyncIterator[Servers]:
    """The servers, for a while; those started for us go again. PostgreSQL is the run's own where that can be."""
    state = ROOT / ".rowcall"
    there = started(state)
    containers = Containers(Docker(os.environ))
    try:
        found = await find(state=state, containers=containers, say=print)
        with tempfile.TemporaryDirectory(prefix="rowcall-tests-") as own:
            async with passing_postgresql(Path(own)) as url:
                yield replace(found, postgres_url=url or found.postgres_url)
    finally:
        await containers.stop()
        if not there:
            await down(state=state)


@pytest.fixture(scope="session")
def base_settings(servers: Servers) -> WorkerSettings:
    return WorkerSettings(
        amqp_url=servers.amqp_url,
        postgres_url=servers.postgres_url,
        redis_url=servers.redis_url,
        families=NAMED,
        pool_size=10,
        log_level="info",
    )


@pytest.fixture(scope="session")
async def migrated(servers: Servers, base_settings: WorkerSettings, served: Served) -> AsyncIterator[str]:
    """A migrated database that every test copies; what is served fits it."""
    async with scratch_database(servers.postgres_url) as url:
        settings = base_settings.model_copy(update={"postgres_url": SecretStr(url)})
        await migrate(settings, FAMILIES)
        async with connected(url) as connection:
            await check_schema(connection, served)
        yield url


@pytest.fixture
async def postgres_url(servers: Servers, migrated: str) -> AsyncIterator[str]:
    """A freshly migrated database of this test's own."""
    async with scratch_database(servers.postgres_url, copy_of=migrated) as url:
        yield url


@pytest.fixture
def settings(base_settings: WorkerSettings, postgres_url: str) -> WorkerSettings:
    """This test's own database and prefix."""
    return base_settings.model_copy(
        update={"postgres_url": SecretStr(postgres_url), "prefix": f"rowcall-test-{RUN}-{uuid4().hex[:8]}"}
    )


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database."""
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def sql(postgres_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to this test's database."""
    async with connected(postgres_url) as connection:
        yield connection


@pytest.fixture(scope="session")
def served(base_settings: WorkerSettings) -> Served:
    return serve(FAMILIES, base_settings)


@pytest.fixture
async def local(
    base_settings: WorkerSettings, settings: WorkerSettings, postgres_url: str, served: Served
) -> AsyncIterator[LocalWorker]:
    """A worker in this process, on this test's database; the transport is all that is not real."""
    own = {"postgres_url", "prefix"}
    alike = settings.model_dump(exclude=own) == base_settings.model_dump(exclude=own)
    known = served if alike else None  # what is served goes by the limits too
    async with local_worker(postgres_url, FAMILIES, settings=settings, served=known) as worker:
        yield worker


@pytest.fixture
def database(local: LocalWorker) -> Database:
    return local.database


@pytest.fixture
def events(local: LocalWorker) -> list[Event]:
    """The events of committed calls, in order."""
    return local.events


@pytest.fixture
def pipeline(local: LocalWorker) -> Pipeline:
    return local.pipeline


@pytest.fixture
def direct(local: LocalWorker) -> AsyncClient:
    """A client joined to a worker's pipeline in memory."""
    return local.client


@pytest.fixture
def platform(direct: AsyncClient) -> AsyncPlatform:
    return AsyncPlatform(direct)


@pytest.fixture
def accounts(direct: AsyncClient) -> AsyncAccounts:
    return AsyncAccounts(direct)


@pytest.fixture(scope="session")
async def nursery(base_settings: WorkerSettings) -> AsyncIterator[Nursery]:
    """Where workers are forked."""
    async with nursery_for({name: environment(base_settings)[name] for name in ("PATH", "PYTHONPATH")}) as nursery:
        yield nursery


@pytest.fixture
async def start_worker(settings: WorkerSettings, tmp_path: Path, nursery: Nursery) -> AsyncIterator[StartWorker]:
    """Start worker processes for this test."""
    async with workers(settings, tmp_path, nursery) as start:
        yield start


@pytest.fixture
async def worker(start_worker: StartWorker) -> WorkerProcess:
    """One worker process that serves."""
    return await start_worker()


@pytest.fixture
async def client(settings: WorkerSettings) -> AsyncIterator[AsyncClient]:
    """A client over the real broker."""
    async with AsyncClient(ClientSettings.model_validate(settings.model_dump())) as client:
        yield client


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first; the first test that needs the servers also waits for their start.

    And, where that is allowed, for their installation. So does, in each process, the first that needs one of its own.
    """
    items.sort(key=lambda item: "test_chaos.py" not in item.nodeid)
    for item in items:
        waits = not OWN_SERVERS.isdisjoint(getattr(item, "fixturenames", ()))
        if waits and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(OWN_SERVERS_S))
    first = next((item for item in items if "servers" in getattr(item, "fixturenames", ())), None)
    if first is not None:
        first.add_marker(pytest.mark.timeout(SERVERS_S), append=False)
