"""A worker cannot start now, as PostgreSQL goes away or its port is another's: trying again may help."""

from __future__ import annotations

import asyncio
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import connected
from tests.processes import environment
from tests.proxy import proxied
from worker.__main__ import EX_TEMPFAIL
from worker.checks import check_schema
from worker.served import Served
from worker.servers import Servers
from worker.settings import WorkerSettings
from worker.testing import scratch_database

MIGRATION = b"create table rowcall."
"""Sent in a transaction."""


async def test_a_session_that_ends_during_the_checks_is_no_fault_of_the_statement(postgres_url: str, served: Served):
    async with proxied(postgres_url) as (proxy, way), connected(way) as checked:
        proxy.lose_answer()

        with pytest.raises((asyncpg.PostgresConnectionError, OSError)):
            await check_schema(checked, served)


async def test_a_worker_cut_off_during_its_migrations_says_that_trying_again_may_help(
    servers: Servers, settings: WorkerSettings, tmp_path: Path
):
    async with scratch_database(servers.postgres_url) as url, proxied(url) as (proxy, way):
        words = environment(settings) | {"ROWCALL_POSTGRES_URL": way}
        proxy.swallow(MIGRATION)
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "worker", env=words, cwd=tmp_path)
        async with asyncio.timeout(50):
            while MIGRATION not in proxy.sent and process.returncode is None:
                await asyncio.sleep(0.01)
            proxy.refuse()
            code = await process.wait()

    assert code == EX_TEMPFAIL


async def test_a_worker_whose_port_is_anothers_says_so_in_one_line(settings: WorkerSettings, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        words = environment(settings) | {"ROWCALL_HTTP_PORT": port}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", env=words, cwd=tmp_path, stdout=DEVNULL, stderr=PIPE
        )
        _, said = await asyncio.wait_for(process.communicate(), 50)

    assert process.returncode == EX_TEMPFAIL
    assert f"ROWCALL_HTTP_PORT: http://127.0.0.1:{port} cannot be listened on" in said.decode()
    assert said.decode().count("\n") == 1
