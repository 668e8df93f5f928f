"""What tests of the record, and of suspects, share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest

from tests.conftest import connected
from worker import stream, topology
from worker.consumer import Consumer
from worker.copying import Copying, Watch
from worker.discretion import Discretion
from worker.keys import KeyRing
from worker.pipeline import Pipeline
from worker.replies import Replies
from worker.served import Served
from worker.settings import WorkerSettings
from worker.stream import Stream
from worker.testing import LocalWorker

NewCopying = Callable[..., Awaitable[Copying]]


@pytest.fixture
async def recording(settings: WorkerSettings) -> AsyncIterator[WorkerSettings]:
    """This test's settings, with a record that goes when the test has ended."""
    yield settings
    await stream.delete(settings)


@pytest.fixture
async def new_copying(recording: WorkerSettings, served: Served, postgres_url: str) -> AsyncIterator[NewCopying]:
    """A relay's work, step by step, on a session of its own; it has found its place."""
    async with AsyncExitStack() as stack:

        async def make(chosen: WorkerSettings = recording) -> Copying:
            connection = await stack.enter_async_context(connected(postgres_url))
            opened = await stack.enter_async_context(Stream(chosen))
            made = Copying(chosen, served.statements, connection, opened, Watch())
            await made.find_place()
            return made

        yield make


@pytest.fixture
async def account(sql: asyncpg.Connection, pipeline: Pipeline) -> None:
    """The account that suspects deposit into."""
    await sql.execute("insert into accounts.accounts (account_id, owner) values ('a-1', 'me')")


@pytest.fixture
async def consumer(settings: WorkerSettings, local: LocalWorker) -> AsyncIterator[Consumer]:
    """What takes calls off the queues, for the pipeline of `local`."""
    replies = Replies(settings, Discretion(KeyRing([])))
    consumer = Consumer(settings, local.pipeline, replies, lambda *_: None)
    replies.link.start()
    consumer.link.start()
    await consumer.link.up.wait()
    try:
        yield consumer
    finally:
        await consumer.drain(asyncio.Event())
        await consumer.link.stop()
        await replies.link.stop()
        await topology.delete(settings)
