"""What a worker process takes of a machine's memory, when it waits and after a long day."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from accounts import AsyncAccounts
from rpc_client import AsyncClient
from tests.processes import StartWorker, WorkerProcess

IDLE_MB = 80
NEVER_IMPORTED = {"typer", "rich", "click", "opentelemetry", "pytest"}
CALLERS = 256


def resident_mb(worker: WorkerProcess) -> float:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) / 1024


@pytest.fixture
async def worker(start_worker: StartWorker) -> WorkerProcess:
    """One that shares no memory with whoever forked it."""
    return await start_worker("-u")


async def test_an_idle_worker_is_small(worker):
    assert resident_mb(worker) <= IDLE_MB


def test_a_worker_imports_nothing_it_does_not_serve_with():
    code = "import sys, worker.__main__, worker.services.platform; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)

    assert not {name.partition(".")[0] for name in imported.stdout.split()} & NEVER_IMPORTED


@pytest.mark.heavy
@pytest.mark.timeout(1200)
async def test_a_million_calls_leave_nothing_behind(worker, client: AsyncClient, record_property):
    accounts = AsyncAccounts(client.with_options(timeout_s=60))
    await asyncio.gather(*(accounts.open_account(f"a-{n}", "me") for n in range(CALLERS)))

    async def call(times: int) -> None:
        async def caller(n: int) -> None:
            for turn in range(times // CALLERS):
                if turn % 8 == 0:
                    await accounts.deposit(f"a-{n}", 1)
                else:
                    await accounts.get_account(f"a-{n}")

        await asyncio.gather(*map(caller, range(CALLERS)))

    await call(100_000)
    after_100_000 = resident_mb(worker)
    await call(900_000)

    after_1_000_000 = resident_mb(worker)

    record_property("resident MB", (after_100_000, after_1_000_000))
    assert after_1_000_000 <= after_100_000 * 1.05
