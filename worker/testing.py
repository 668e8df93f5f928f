"""A worker in the test's own process: real SQL on a real database, without a broker and without Redis.

::

    async with scratch_database(server_url) as url, local_worker(url, [family]) as worker:
        accounts = AsyncAccounts(worker.client)
        await accounts.open_account("a-1", "Ada")

        assert [event.type for event in worker.events] == ["AccountOpened"]

Calls go through a worker's own pipeline as the bytes that would travel, one message each, so receipts, repeats, groups,
retries and limits are those of production. What only a broker can do is not here: redelivery, expiry, flow control.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import orjson
from pydantic import ValidationError

from rpc_client import AsyncClient, wire
from rpc_client.errors import Disconnected
from rpc_client.events import Event
from worker.app import open_pipeline
from worker.calls import Origin
from worker.events import complete_events, messages
from worker.migrations import migrate
from worker.registry import Family, find_families
from worker.served import Served, serve
from worker.servers import create_database, drop_database
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from rpc_client.contract import EventData, Method
    from rpc_client.parcels import Pending
    from worker.calls import Call, Outcome
    from worker.database import Database
    from worker.dead_letters import DeadLetter
    from worker.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class LocalWorker:
    """A worker that serves, and everything that left it. Made by ``local_worker``."""

    client: AsyncClient
    """Calls it; any family binds to it."""
    pipeline: Pipeline
    database: Database
    served: Served
    events: list[Event]
    """What committed, in the order of the commits, as ``rpc_client.events.listen`` would tell it."""
    messages: list[tuple[str, Any]]
    """All that Redis would be told, as channel and payload: the events, and what families tell in ways of their own."""
    replies: list[bytes]
    """The reply lines, byte for byte."""
    dead_letters: list[DeadLetter]
    """What could not be answered for good, and why."""


@asynccontextmanager
async def local_worker(
    postgres_url: str,
    families: Sequence[Family] | None = None,
    *,
    settings: WorkerSettings | None = None,
    served: Served | None = None,
) -> AsyncIterator[LocalWorker]:
    """Migrate a database and serve it, for as long as the block lasts.

    Raises what keeps a worker from starting: MigrationError, RegistryError, StatementError.

    Args:
        postgres_url: a database of the test's own, as ``scratch_database`` gives one.
        families: what to serve; what the settings name, unless given.
        settings: the worker's limits; from the environment unless given.
        served: what a worker served on the database of which this one is a copy. Then nothing is migrated, and nothing
            compared with the schema again: where every test has a copy, that is most of what starting takes.
    """
    chosen = settings or WorkerSettings()
    chosen = chosen.model_validate({**chosen.model_dump(), "postgres_url": postgres_url})
    fits = served is not None
    if served is None:
        families = find_families(chosen.families) if families is None else families
        await migrate(chosen, families)
        served = serve(families, chosen)
    kept = _Kept(served, wire.Names(chosen.prefix))
    async with (
        open_pipeline(chosen, served, kept, fits=fits) as (pipeline, database),
        AsyncClient(chosen, transport=_Memory(pipeline, kept, chosen.caller)) as client,
    ):
        yield LocalWorker(
            client, pipeline, database, served, kept.events, kept.messages, kept.replies, kept.dead_letters
        )


@asynccontextmanager
async def scratch_database(server_url: str, *, copy_of: str | None = None) -> AsyncIterator[str]:
    """A database for one test, by its URL; dropped when the block is left, whoever still uses it.

    Args:
        server_url: any database of the server, and a user who may create others.
        copy_of: the URL of a database to begin with, which nobody may be using meanwhile. Copying one that was migrated
            saves every test its migrations.
    """
    name = f"rowcall_scratch_{uuid4().hex}"
    template = None if copy_of is None else unquote(urlsplit(copy_of).path[1:])
    url = await create_database(server_url, name, template=template)
    try:
        yield url
    finally:
        await drop_database(server_url, name)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Takes the place of Redis and of the queues."""

    served: Served
    names: wire.Names
    events: list[Event] = field(default_factory=list)
    messages: list[tuple[str, Any]] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def announce(self, call: Call, outcome: Outcome) -> None:
        if outcome.events is None:
            return
        told_events = [Event.model_validate(event) for event in complete_events(call, outcome)]
        for event in told_events:
            _check_promise(call.answer.method, event)
        self.events.extend(told_events)
        (family,) = (found for found in self.served.families if found.name == call.answer.method.owner.name)
        told = messages(self.names, family, call, outcome)
        self.messages.extend((channel, orjson.loads(payload)) for channel, payload in told)


def _check_promise(method: Method[..., Any], event: Event) -> None:
    """An event is what its contract says, to the letter: every field, of its type, and nothing more."""
    shape = method.events.get(event.type)
    if shape is None or shape.aggregate != event.aggregate:
        wrong = f"its contract declares {[f'{word} of {kind.aggregate}' for word, kind in method.events.items()]}"
    elif event.data.keys() != shape.model_fields.keys():
        wrong = f"it says {sorted(event.data)}, its contract {sorted(shape.model_fields)}"
    else:
        wrong = _misfit(shape, event.data)
    if wrong:
        raise AssertionError(f"{method.name} emitted {event.type} of {event.aggregate}: {wrong}")


def _misfit(shape: type[EventData], data: dict[str, Any]) -> str:
    """What about the data is not as declared; empty where nothing is."""
    try:
        shape.model_validate_json(orjson.dumps(data), strict=True)
    except ValidationError as error:
        return str(error)
    return ""


class _Memory:
    """Carries calls straight into a pipeline."""

    def __init__(self, pipeline: Pipeline, kept: _Kept, caller: str) -> None:
        self._pipeline = pipeline
        self._kept = kept
        self._caller = caller
        self._ended = False

    async def request(self, call: Pending) -> wire.Reply:
        if self._ended:
            raise Disconnected("this local worker has ended", request_id=call.id, method=call.method)
        call.attempt += 1
        origin = Origin(self._caller, "local", call.id, None, redelivered=False)
        answered = await self._pipeline.answer(call.line(), origin, f"{call.lane}.{call.method}")
        self._kept.dead_letters.extend(answered.dead)
        (reply,) = answered.replies
        self._kept.replies.append(reply)
        return wire.read_reply(reply)

    async def close(self) -> None:
        self._ended = True
