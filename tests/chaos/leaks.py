"""What is held of the servers and of the system: counted before, after, and when all have gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import asyncpg

from tests.chaos.crew import Place
from tests.own_servers import OwnServers

CONNECT_S = 5.0
COUNT = "[length(rabbit_networking:connections()), length(rabbit_channel:list())]."
"""Asked of the broker itself: two programs that start an Erlang machine each take seconds."""


class Held(TypedDict):
    """At one moment."""

    backends: dict[str, int]
    """PostgreSQL sessions in the run's database, by the name they gave."""
    queues: dict[str, int]
    """Queue -> messages in it, ready or not."""
    connections: int
    channels: int
    fds: dict[str, int]
    """Open files of each worker that runs."""


async def held(servers: OwnServers, database: str, workers: Sequence[Place]) -> Held:
    """Count everything now."""
    queues, counted, backends, fds = await asyncio.gather(
        servers.rabbitmq.control("list_queues", "--no-table-headers", "name", "messages"),
        servers.rabbitmq.control("eval", COUNT),
        _backends(database),
        asyncio.to_thread(_fds, workers),
    )
    connections, channels = json.loads(counted)
    return {
        "backends": backends,
        "queues": {name: int(messages) for name, messages in (line.split() for line in queues.splitlines())},
        "connections": connections,
        "channels": channels,
        "fds": fds,
    }


async def _backends(database: str) -> dict[str, int]:
    connection = await asyncpg.connect(database, timeout=CONNECT_S)
    try:
        rows = await connection.fetch(
            "select application_name, count(*) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() group by 1"
        )
    finally:
        await connection.close(timeout=CONNECT_S)
    return {row[0]: row[1] for row in rows}


def _fds(workers: Sequence[Place]) -> dict[str, int]:
    return {place.name: len([*Path(f"/proc/{place.pid}/fd").iterdir()]) for place in workers if place.pid is not None}
