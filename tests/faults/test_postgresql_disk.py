"""What calls see of a PostgreSQL whose disk is full: a real one, in memory and seen by that server alone."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import structlog

from tests.conftest import connected
from tests.faults.serving import POOL, Callers, deposited, every_place_is_free, serving
from tests.faults.test_postgresql_silent import until_said
from tests.own_servers import OwnServer
from worker.servers.debian import Packages
from worker.servers.kind import Launch
from worker.servers.postgresql import PostgreSQL
from worker.servers.private import Private, remove
from worker.servers.process import run
from worker.servers.records import Records
from worker.testing import scratch_database

MOUNT = 'mkdir -p "$0" && mount -t tmpfs -o size=8m,mode=700 tmpfs "$0" && exec "$@"'
NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount"]
PLAIN_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]  # PostgreSQL refuses to run as root


class WithASmallDisk(PostgreSQL):
    """PostgreSQL with 8 MiB at ``small`` in its home, which nobody else sees and which end with it."""

    def launches(self, home: Path, port: int, path: str) -> list[Launch]:
        (plain,) = super().launches(home, port, path)
        command = [*NAMESPACES, "sh", "-c", MOUNT, str(home / "small"), *PLAIN_USER, *plain.command]
        return [Launch(command, plain.environment)]


@pytest.fixture
async def cramped(own_postgresql: OwnServer, tmp_path: Path) -> AsyncIterator[OwnServer]:
    """A server of this test's own. Skipped where the system gives nobody a file system of their own."""
    home = own_postgresql.instance.home
    mounting = [*NAMESPACES, "sh", "-c", MOUNT, str(home / "small"), *PLAIN_USER, "true"]
    code, output = await run(mounting, timeout_s=10, environment={"PATH": os.environ["PATH"]}, home=home)
    if code:
        pytest.skip(f"no user namespaces here: {output}")
    private = Private(Records(tmp_path), Packages(os.environ, print, allowed=False), os.environ["PATH"], print)
    server = OwnServer(WithASmallDisk(), private)
    try:
        await server.start()
        yield server
    finally:
        await remove(server.kind, private.records, print)


async def fill(sql: asyncpg.Connection) -> None:
    """Fill the small disk to its last page."""
    await sql.execute("create table public.filler (text text) tablespace small")
    more = "insert into public.filler select repeat('x', 1000) from generate_series(1, $1)"
    with contextlib.suppress(asyncpg.DiskFullError):
        while True:
            await sql.execute(more, 100)


@pytest.mark.heavy
async def test_a_full_disk_is_waited_for_until_there_is_room_again(cramped, base_settings):
    async with (
        scratch_database(cramped.url) as url,
        connected(url) as sql,
        serving(url, base_settings, pool_size=POOL) as worker,
    ):
        await sql.execute(f"create tablespace small location '{cramped.instance.home / 'small'}'")
        await sql.execute("alter table accounts.entries set tablespace small")
        await fill(sql)

        with structlog.testing.capture_logs() as logs:
            async with Callers(worker).calling() as callers:
                await until_said(logs, "DiskFullError")
                await sql.execute("drop table public.filler")
                await callers.say_first_good("there was room again")
                await callers.more(20)

        assert callers.failed == []
        assert await deposited(sql) == (callers.good, callers.good)
        await every_place_is_free(worker.database, POOL)
        await sql.execute("alter table accounts.entries set tablespace pg_default")
        await sql.execute("drop tablespace small")
