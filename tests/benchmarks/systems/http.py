"""FastAPI behind uvicorn with uvloop and httptools, called with aiohttp.

As in FastAPI's documentation, pages "Lifespan Events" and "Response Model - Return Type"; uvicorn's, page "Settings";
aiohttp's, page "Client Quickstart" (one session for all requests); httpx's, page "Clients" (one client for all
threads); asyncpg's, page "Usage", section "Connection Pools".
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import httpx
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from tests.benchmarks.family.contract import Amount, Item, User
from tests.benchmarks.sql import Handmade, bench, handmade, open_pool
from tests.benchmarks.systems import Place


class Booking(BaseModel):
    amount: Amount


def make_app(place: Place) -> FastAPI:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await open_pool(place.postgres_url, reset=place.reset)
        print("ready", flush=True)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/noop")
    async def noop() -> int:
        return await app.state.pool.fetchval(bench("noop"))

    @app.get("/users/{user_id}")
    async def read_user(user_id: int) -> User | None:
        row = await app.state.pool.fetchrow(bench("read_user"), user_id)
        return None if row is None else User(**row)

    @app.post("/users/{user_id}/entries")
    async def write(user_id: int, booking: Booking) -> int:
        return await app.state.pool.fetchval(bench("write"), booking.amount, user_id)

    @app.get("/groups/{group_id}/items")
    async def list_rows(group_id: int) -> list[Item]:
        return [Item(**row) for row in await app.state.pool.fetch(bench("list_rows"), group_id)]

    @app.get("/slow")
    async def slow() -> int:
        return await app.state.pool.fetchval(bench("slow"))

    for name, made in handmade().items():
        app.post(f"/platform/{name}", response_model=made.method.returns)(_endpoint(app, made))
    return app


def _endpoint(app: FastAPI, made: Handmade) -> Any:
    async def endpoint(body: Any) -> Any:
        return await made.run(app.state.pool, {name: getattr(body, name) for name in type(body).model_fields})

    endpoint.__annotations__ = {"body": made.arguments}
    return endpoint


async def serve(place: Place) -> None:
    config = uvicorn.Config(make_app(place), loop="uvloop", http="httptools", log_level="warning", access_log=False)
    with socket.create_server(("127.0.0.1", place.http_port), backlog=2048) as listener:
        await uvicorn.Server(config).serve(sockets=[listener])


class Calls:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def noop(self) -> Any:
        return await self._get("/noop")

    async def read_user(self, user_id: int) -> Any:
        return await self._get(f"/users/{user_id}")

    async def write(self, user_id: int, amount: int) -> Any:
        return await self._post(f"/users/{user_id}/entries", {"amount": amount})

    async def list_rows(self, group_id: int) -> Any:
        return await self._get(f"/groups/{group_id}/items")

    async def slow(self) -> Any:
        return await self._get("/slow")

    async def platform(self, method: str, arguments: dict[str, Any]) -> Any:
        return await self._post(f"/platform/{method}", arguments)

    async def _get(self, path: str) -> Any:
        async with self._session.get(path) as response:
            response.raise_for_status()
            return await response.json()

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._session.post(path, json=body) as response:
            response.raise_for_status()
            return await response.json()


@contextlib.asynccontextmanager
async def connect(place: Place) -> AsyncIterator[Calls]:
    connector = aiohttp.TCPConnector(limit=max(100, place.callers))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{place.http_port}", connector=connector) as session:
        yield Calls(session)


class SyncCalls:
    """For threads: what the setting ``sync`` asks."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def noop(self) -> Any:
        return self._get("/noop")

    def read_user(self, user_id: int) -> Any:
        return self._get(f"/users/{user_id}")

    def _get(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()


@contextlib.contextmanager
def connect_sync(place: Place) -> Iterator[SyncCalls]:
    limits = httpx.Limits(max_connections=place.callers, max_keepalive_connections=place.callers)
    with httpx.Client(base_url=f"http://127.0.0.1:{place.http_port}", limits=limits, timeout=60) as client:
        yield SyncCalls(client)
