"""``rowcall demo`` as somebody runs it who has just cloned the repository, only smaller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import aio_pika
import aiormq.exceptions
import asyncpg
import pytest

from worker.demo.agent import Agent, read_graph
from worker.demo.check import Expected, look
from worker.servers import Servers
from worker.settings import WorkerSettings
from worker.topology import queue_arguments

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from worker.cli import app; app()", "demo", "--executions"]
NAMES = re.compile(r"database (rowcall_demo_[0-9a-f]{8}) and taking the prefix (rowcall-demo-[0-9a-f]{8})\.")
CHECKS = 12

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def own_environment(servers: Servers) -> dict[str, str]:
    """The same servers as the tests', and nothing else of ours."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "ROWCALL_AMQP_URL": servers.amqp_url,
        "ROWCALL_POSTGRES_URL": servers.postgres_url,
        "ROWCALL_REDIS_URL": servers.redis_url,
    }


@contextlib.asynccontextmanager
async def started(executions: int, environment: dict[str, str], folder: Path) -> AsyncIterator[Process]:
    """The demo as a process; asked to end, and waited for, if it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, str(executions), stdout=PIPE, stderr=PIPE, env=environment, cwd=folder
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.communicate(), 60)


async def assert_nothing_left(output: str, servers: Servers) -> None:
    """The database, queues and exchanges that the output names are gone."""
    (found,) = NAMES.findall(output)
    database, prefix = found
    connection = await asyncpg.connect(servers.postgres_url)
    try:
        assert await connection.fetchval("select count(*) from pg_database where datname = $1", database) == 0
    finally:
        await connection.close()
    names = [*queue_arguments(WorkerSettings(prefix=prefix)), f"{prefix}.requests", f"{prefix}.dead"]
    async with await aio_pika.connect(servers.amqp_url) as broker:
        for name in names:
            channel = await broker.channel()
            with pytest.raises(aiormq.exceptions.ChannelNotFoundEntity):
                await (channel.get_exchange if name.endswith((".requests", ".dead")) else channel.get_queue)(name)


def figures(output: str) -> dict[str, str]:
    """The table at the end."""
    return dict(re.findall(r"^│ (\S.*?) +│ (\S.*?) +│$", output, re.MULTILINE))


async def test_a_killed_worker_costs_nothing_and_the_demo_leaves_nothing(own_environment, servers, tmp_path):
    async with started(6, own_environment, tmp_path) as process:
        stdout, stderr = await asyncio.wait_for(process.communicate(), 120)
    output = stdout.decode()

    assert (process.returncode, stderr.decode()) == (0, ""), output
    assert "killed with SIGKILL" in output
    assert [line[:5].strip() for line in output.splitlines() if line.startswith(("ok ", "WRONG"))] == ["ok"] * CHECKS
    shown = figures(output)
    assert (shown["executions"], shown["failed calls"]) == ("6 of 6", "0")
    before, after, must_be = (
        int(n.replace(",", "")) for n in re.findall(r"[\d,]+", shown["credits before"] + " " + shown["credits after"])
    )
    assert after == must_be < before
    assert "rowcall methods" in output.splitlines()[-1]
    await assert_nothing_left(output, servers)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("asked", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.heavy)])
async def test_an_interrupted_demo_leaves_nothing(own_environment, servers, tmp_path, asked):
    async with started(1000, own_environment, tmp_path) as process:
        assert process.stdout is not None
        lines = []
        async with asyncio.timeout(60):
            while not lines or "Running 1000 executions" not in lines[-1]:
                lines.append((await process.stdout.readline()).decode())
        process.send_signal(asked)
        process.send_signal(asked)
        await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 130
    await assert_nothing_left("".join(lines), servers)


async def test_the_check_says_what_is_missing(settings):
    expected = Expected(Agent(read_graph("ada")), executions=1, users=1, granted=100, writes=1)

    findings = await look(settings, expected)

    assert len(findings.checks) == CHECKS
    assert [check.claim for check in findings.checks if check.good] == []
    assert findings.events == 0


async def test_an_executor_refuses_to_know_a_database(own_environment, tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker.demo.executor", stdin=PIPE, stderr=PIPE, env=own_environment, cwd=tmp_path
    )
    _, stderr = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 1
    assert b"ROWCALL_POSTGRES_URL" in stderr


async def test_an_executor_loads_nothing_of_the_workers_own(own_environment, tmp_path):
    loaded = "import sys, worker.demo.executor; print(*sorted(m for m in sys.modules if m.startswith('worker')))"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{loaded}; assert 'asyncpg' not in sys.modules",
        stdout=PIPE,
        env=own_environment,
        cwd=tmp_path,
    )
    stdout, _ = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 0
    assert all(name in {"worker", "worker.demo"} or name.startswith("worker.demo.") for name in stdout.decode().split())
