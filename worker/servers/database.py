"""Making and dropping one database, by its exact name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import asyncpg

if TYPE_CHECKING:
    from asyncpg import Connection, Record

CONNECT_S = 10.0
STATEMENT_S = 120.0  # copying a large template takes a while
MAX_NAME_BYTES = 63


async def create_database(postgres_url: str, name: str, *, template: str | None = None) -> str:
    """Create a database, as a copy of ``template`` if given; returns its URL."""
    async with _connected(postgres_url) as connection:
        statement = f"create database {await _quoted(connection, name)}"
        if template is not None:
            statement += f" template {await _quoted(connection, template)}"
        await connection.execute(statement)

    return database_url(postgres_url, name)


async def ensure_database(postgres_url: str, name: str) -> str:
    """Create a database unless it exists; returns its URL."""
    try:
        return await create_database(postgres_url, name)
    except asyncpg.DuplicateDatabaseError:
        return database_url(postgres_url, name)


def database_url(postgres_url: str, name: str) -> str:
    """The same server, another database."""
    return urlsplit(postgres_url)._replace(path="/" + quote(name, safe="")).geturl()


async def drop_database(postgres_url: str, name: str) -> None:
    """Drop this database and disconnect whoever uses it; nothing happens if there is none."""
    async with _connected(postgres_url) as connection:
        await connection.execute(f"drop database if exists {await _quoted(connection, name)} with (force)")


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Connection[Record]]:
    connection = await asyncpg.connect(url, timeout=CONNECT_S, command_timeout=STATEMENT_S)
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_S)


async def _quoted(connection: Connection[Record], name: str) -> str:
    """An identifier cannot be a parameter, so the server quotes it."""
    if not 0 < len(name.encode()) <= MAX_NAME_BYTES:  # PostgreSQL would cut it off: another name
        raise ValueError(f"a database name has 1 to {MAX_NAME_BYTES} bytes: {name!r}")

    return str(await connection.fetchval("select quote_ident($1)", name))
