"""Worker processes of tests: started, waited for, and stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tests.nursery import Forked, Nursery
from worker import stream, topology
from worker.settings import WorkerSettings

ROOT = Path(__file__).parent.parent
READ_LATE = re.compile(r"ROWCALL_(?!TEST_HOOKS|CRASH_).*")
"""What a worker reads of its environment when it begins; the rest, when it is imported or before."""


class WorkerProcess:
    """One real worker process, of which the tests know the pid."""

    def __init__(self, process: asyncio.subprocess.Process | Forked, log: Path) -> None:
        self.process = process
        self.log = log

    async def consuming(self) -> None:
        """Wait until its log says that it takes calls."""
        while '"consuming"' not in self.log.read_text():
            if self.process.returncode is not None:
                raise AssertionError(f"the worker ended with {self.process.returncode}:\n{self.log.read_text()}")
            await asyncio.sleep(0.02)

    async def stop(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            return await asyncio.wait_for(self.process.wait(), 30)
        except TimeoutError as error:
            error.add_note(f"{self.process.pid} was told to end; its log:\n{self.log.read_text()[-3000:]}")
            raise


StartWorker = Callable[..., "asyncio.Future[WorkerProcess]"]


def environment(settings: WorkerSettings) -> dict[str, str]:
    """The settings as a process of its own reads them."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "examples" / "accounts")]),
        "ROWCALL_AMQP_URL": settings.amqp_url.get_secret_value(),
        "ROWCALL_POSTGRES_URL": settings.postgres_url.get_secret_value(),
        "ROWCALL_REDIS_URL": settings.redis_url.get_secret_value(),
        "ROWCALL_PREFIX": settings.prefix,
        "ROWCALL_FAMILIES": ",".join(settings.families),
    }


@contextlib.asynccontextmanager
async def workers(settings: WorkerSettings, folder: Path, nursery: Nursery | None = None) -> AsyncIterator[StartWorker]:
    """Start worker processes; in the end they are stopped, and what they declared is deleted by name."""
    started: list[WorkerProcess] = []

    async def start(*before: str, **extra: str) -> WorkerProcess:
        """A worker with more in its environment; `before` is what Python is told before it is told to be one.

        It is forked, unless something is told that only a new Python would read.
        """
        log = folder / f"worker-{len(started)}.log"
        told = {**environment(settings), **extra}
        process: asyncio.subprocess.Process | Forked
        with log.open("w") as output:
            if nursery is not None and not before and all(map(READ_LATE.fullmatch, extra)):
                process = await nursery.fork(told, folder, log)
            else:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, *before, "-m", "worker"), stderr=output, env=told, cwd=folder
                )
        worker = WorkerProcess(process, log)
        started.append(worker)
        await asyncio.wait_for(worker.consuming(), 30)
        return worker

    try:
        yield start
    finally:
        for worker in started:
            await worker.stop()
        await topology.delete(settings)
        await stream.delete(settings)
