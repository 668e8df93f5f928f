"""Every method of the platform through the clients the document names, over the real broker, to a real worker."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from rpc_client import ClientSettings, DatabaseManagerAsyncClient, DatabaseManagerClient, InvalidRequest
from rpc_client.contract import Composed, Method
from rpc_client.contract.platform import Platform
from rpc_client.errors import Reason
from tests.conftest import RUN
from tests.processes import workers
from tests.services.platform.case import Case, Place
from tests.services.platform.cases import CASES, GRANT
from tests.services.platform.given import line_graph
from worker.keys import new_key
from worker.testing import scratch_database

METHODS = {name: value for name, value in inspect.getmembers(Platform) if isinstance(value, Method | Composed)}
FEW = 8
NOTHING_TO_LACK = {"get_block_error_stats"}
"""It is asked about nothing in particular."""
Call = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
async def reachable(servers, migrated, base_settings, tmp_path_factory) -> AsyncIterator[ClientSettings]:
    """One worker, with a database and keys of its own, for all of these tests; how clients find it."""
    async with scratch_database(servers.postgres_url, copy_of=migrated) as url:
        names = {"postgres_url": SecretStr(url), "prefix": f"rowcall-test-{RUN}-{uuid4().hex[:8]}"}
        settings = base_settings.model_copy(update=names)
        async with workers(settings, tmp_path_factory.mktemp("clients")) as start:
            await start(ROWCALL_ENCRYPTION_KEYS=new_key())
            yield ClientSettings.model_validate(settings.model_dump())


@pytest.fixture(scope="module")
async def db(reachable) -> AsyncIterator[DatabaseManagerAsyncClient]:
    async with DatabaseManagerAsyncClient(reachable) as client:
        yield client


@pytest.fixture(scope="module")
async def sync_db(reachable) -> AsyncIterator[DatabaseManagerClient]:
    client = DatabaseManagerClient(reachable)
    yield client
    await asyncio.to_thread(client.close)


@pytest.fixture(scope="module")
async def places(db) -> list[Place]:
    """A place for every case through every client, a few at a time: they are stories, and each holds a connection."""
    few = asyncio.Semaphore(FEW)
    await db.create_user("olga", "olga@example.org")
    graph, private = [await db.create_graph(line_graph("olga")) for _ in range(2)]
    await db.list_graph(graph.id, graph.version)

    async def place(user: str) -> Place:
        async with few:
            await db.create_user(user, f"{user}@example.org")
            await db.add_credits(user, GRANT, "welcome")
            execution = await db.create_graph_execution(graph.id, 1, {graph.nodes[0].id: {"value": "?"}}, user)
        return Place(user, graph, private, execution)

    return list(await asyncio.gather(*(place(f"user-{n}") for n in range(2 * len(CASES)))))


@pytest.fixture(params=["async", "sync"])
def client(request, db, sync_db) -> Callable[[str], Call]:
    """A method by its name, of either client; the sync one's in a thread."""
    if request.param == "async":
        return lambda name: getattr(db, name)
    return lambda name: lambda *args: asyncio.to_thread(getattr(sync_db, name), *args)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_every_method_does_as_it_says_through_both_clients(case: Case, client, db, places):
    at = places.pop()
    if case.given is not None:
        at.made = await case.given(db, at)
    call = client(case.method)

    if isinstance(case.outcome, type) and issubclass(case.outcome, Exception):
        with pytest.raises(case.outcome):
            await call(*case.arguments(at))
    else:
        answered = await call(*case.arguments(at))
        assert case.outcome(at, answered) if callable(case.outcome) else answered == case.outcome


@pytest.mark.parametrize("name", METHODS)
async def test_an_argument_that_does_not_fit_is_named_through_both_clients(name, client):
    required = [word for word, p in METHODS[name].signature.parameters.items() if p.default is p.empty]
    if not required:
        with pytest.raises(TypeError):
            await client(name)([{}])
        return

    with pytest.raises(InvalidRequest) as refused:
        await client(name)([{}], *["?"] * (len(required) - 1))

    assert refused.value.details["reason"] == Reason.INVALID_ARGUMENT
    assert refused.value.details["argument"] == required[0]


def test_no_method_is_forgotten():
    works = {case.method for case in CASES if case.kind == "works"}
    absent = {case.method for case in CASES if case.kind == "absent"}

    assert METHODS.keys() <= works
    assert works - absent == NOTHING_TO_LACK
