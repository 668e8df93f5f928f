"""A Celery worker of four forked processes, whose tasks call through the sync client."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.processes import environment

PROGRAMS = Path(__file__).parent / "programs"
PROCESSES = 4
DONE_S = 120


@contextlib.asynccontextmanager
async def celery_worker(settings, folder: Path) -> AsyncIterator[None]:
    log = folder / "celery.log"
    words = ["-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", str(PROCESSES), "-l", "warning"]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    own = environment(settings)
    own |= {"CELERY_FOLDER": str(folder), "PYTHONPATH": os.pathsep.join([str(PROGRAMS), own["PYTHONPATH"]])}
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, *quiet, stdout=output, stderr=output, env=own, cwd=folder
        )
    try:
        yield
    except Exception as error:
        error.add_note(log.read_text()[-5000:])
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 30)


@pytest.mark.timeout(DONE_S + 60)
@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.heavy)])
async def test_tasks_in_four_forked_processes_all_come_back(worker, settings, sql, tmp_path, monkeypatch, count):
    for name in ("queue", "control", "results"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("CELERY_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(str(PROGRAMS))
    monkeypatch.delitem(sys.modules, "tasks", raising=False)  # one made before this test sends to its folder
    tasks = importlib.import_module("tasks")
    async with celery_worker(settings, tmp_path):
        waiting = [tasks.deposit.delay() for _ in range(count)]

        results = await asyncio.to_thread(lambda: [result.get(timeout=DONE_S) for result in waiting])

    assert sorted(balance for _, balance in results) == list(range(1, count + 1))
    assert len({pid for pid, _ in results}) == PROCESSES
    assert await sql.fetchval("select count(*) from accounts.entries") == count
