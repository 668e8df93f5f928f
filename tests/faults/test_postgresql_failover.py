"""What calls see of a standby that takes the place of its primary."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import connected
from tests.faults.serving import POOL, Callers, deposited, every_place_is_free, serving, until
from tests.own_servers import OwnServer
from worker.servers.debian import Packages
from worker.servers.errors import NotStarted
from worker.servers.postgresql import PostgreSQL
from worker.servers.private import Private, remove
from worker.servers.process import run
from worker.servers.records import Records


class Standby(PostgreSQL):
    """A copy of another server that follows it."""

    primary = 0

    async def prepare(self, home: Path, path: str) -> None:
        if (home / "data").exists():
            return
        shutil.rmtree(home / "data.part", ignore_errors=True)
        command = ["pg_basebackup", "--host=127.0.0.1", f"--port={self.primary}", "--username=postgres"]
        command += ["--write-recovery-conf", "--checkpoint=fast", f"--pgdata={home / 'data.part'}"]
        code, output = await run(command, timeout_s=60, environment=self.environment(home, path), home=home)
        if code:
            raise NotStarted(output)
        (home / "data.part").rename(home / "data")


@pytest.fixture
async def standby(own_postgresql: OwnServer, tmp_path: Path) -> AsyncIterator[OwnServer]:
    """One that follows the server that may be hurt."""
    private = Private(Records(tmp_path), Packages(os.environ, print, allowed=False), os.environ["PATH"], print)
    kind = Standby()
    kind.primary = own_postgresql.instance.port
    server = OwnServer(kind, private)
    try:
        await server.start()
        yield server
    finally:
        await remove(kind, private.records, print)


@pytest.mark.heavy
async def test_a_standby_that_takes_over_fails_no_call(own_postgresql, own_url, standby, base_settings):
    address = urlsplit(own_url)
    both = address._replace(netloc=f"{address.netloc},{urlsplit(standby.url).netloc.rpartition('@')[2]}").geturl()
    there = address._replace(netloc=urlsplit(standby.url).netloc).geturl()
    async with (
        serving(both, base_settings, pool_size=POOL) as worker,
        connected(own_postgresql.url) as operator,
        connected(there) as successor,
    ):
        await until(successor, "to_regclass('accounts.accounts') is not null")
        async with Callers(worker).calling() as callers:
            await callers.more(20)
            try:
                await operator.execute("alter system set default_transaction_read_only = on")
                await operator.execute("select pg_reload_conf()")
                at_work = "from pg_stat_activity where datname = $1 and application_name = 'rowcall worker'"
                await until(operator, f"not exists (select {at_work})", address.path[1:])
                last = await operator.fetchval("select pg_current_wal_flush_lsn()::text")
                await until(successor, "pg_last_wal_replay_lsn() >= $1::text::pg_lsn", last)
                await successor.execute("select pg_promote()")
                await callers.say_first_good("the standby took over")
                await callers.more(20)
            finally:
                await operator.execute("set default_transaction_read_only = off")
                await operator.execute("alter system reset default_transaction_read_only")
                await operator.execute("select pg_reload_conf()")

        assert callers.failed == []
        assert await deposited(successor) == (callers.good, callers.good)
        await every_place_is_free(worker.database, POOL)
