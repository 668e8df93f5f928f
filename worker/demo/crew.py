"""The demo's processes: two workers, and the executors that call them. Every one is started here and stopped here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import sysconfig
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import aio_pika
import aiormq.exceptions
from aio_pika.abc import AbstractConnection

from rpc_client.connection import open_channel
from rpc_client.tasks import end
from rpc_client.wire import Names
from worker.demo.orders import READY, Order, Report
from worker.settings import WorkerSettings

WORKERS = 2
EXECUTORS = 4
START_S = 60.0
STOP_S = 40.0
KILL_S = 10.0
POLL_S = 0.05
MAX_LINE = 1 << 20
TAIL_LINES = 8


class DemoError(Exception):
    """The demo could not be performed; the message says which of its processes says why."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process we started, and where it logs."""

    name: str
    process: Process
    log: Path

    def failure(self) -> DemoError:
        """That it ended, and its last words."""
        words = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
        ended = f"{self.name} ended with exit code {self.process.returncode}"
        return DemoError("\n".join([f"{ended}; its log says:", *words]) if words else ended)

    async def must_live(self) -> NoReturn:
        """Raise as soon as it ends."""
        await self.process.wait()
        raise self.failure()

    async def stop(self) -> None:
        """Ask it to end; insist when it does not."""
        with contextlib.suppress(ProcessLookupError):
            if self.process.returncode is None:
                self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            self.process.kill()
            await asyncio.wait_for(self.process.wait(), KILL_S)


class Crew:
    """Everybody at work in one run of the demo."""

    def __init__(self, settings: WorkerSettings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self.workers: list[Child] = []
        self.executors: list[Child] = []

    async def start(self) -> None:
        """Start all of them at once; return when every worker consumes and every executor waits for its order."""
        try:
            async with asyncio.timeout(START_S):
                await asyncio.gather(
                    *(self._start_worker(n + 1) for n in range(WORKERS)),
                    *(self._start_executor(n + 1) for n in range(EXECUTORS)),
                )
                await self._workers_consume()
                for executor in self.executors:
                    await hear_ready(executor)
        except TimeoutError:
            raise DemoError(f"not all processes were ready after {START_S:g} s: is this machine very busy?") from None

    async def stop(self) -> None:
        """End those that still run, all at the same time. Each knows how to finish what it has begun."""
        await asyncio.gather(*(child.stop() for child in [*self.executors, *self.workers]))

    async def _start_worker(self, number: int) -> None:
        settings = self._settings
        environment = inherited() | {
            "ROWCALL_AMQP_URL": settings.amqp_url.get_secret_value(),
            "ROWCALL_POSTGRES_URL": settings.postgres_url.get_secret_value(),
            "ROWCALL_REDIS_URL": settings.redis_url.get_secret_value(),
            "ROWCALL_PREFIX": settings.prefix,
            "ROWCALL_FAMILIES": ",".join(settings.families),
        }
        await self._start(self.workers, f"worker-{number}", ["-m", "worker"], environment, talks=False)

    async def _start_executor(self, number: int) -> None:
        environment = without_database(inherited()) | {
            "ROWCALL_AMQP_URL": self._settings.amqp_url.get_secret_value(),
            "ROWCALL_PREFIX": self._settings.prefix,
        }
        words = ["-m", "worker.demo.executor"]
        await self._start(self.executors, f"executor-{number}", words, environment, talks=True)

    async def _start(
        self, among: list[Child], name: str, words: Sequence[str], environment: dict[str, str], *, talks: bool
    ) -> None:
        """Start one and note it in the same breath: what is not noted is not stopped."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = await self._spawn(words, environment, output, talks=talks)
        among.append(Child(name, process, log))

    async def _spawn(
        self, words: Sequence[str], environment: dict[str, str], output: IO[bytes], *, talks: bool
    ) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=PIPE if talks else DEVNULL,
            stdout=PIPE if talks else output,
            stderr=output,
            limit=MAX_LINE,
            env=environment,
            cwd=self._folder,  # so that no .env of this folder speaks to them
            start_new_session=True,  # Ctrl-C is for us; we stop them in order
        )

    async def _workers_consume(self) -> None:
        """Wait until they do; one that ends meanwhile has failed."""
        tasks = [asyncio.create_task(work) for work in (self._consuming(), *(one.must_live() for one in self.workers))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await done.pop()
        finally:
            await end(*tasks)

    async def _consuming(self) -> None:
        """Wait until the broker counts every worker among the consumers of writes, which they take last."""
        queue = Names(self._settings.prefix).queue("write")
        connection = await aio_pika.connect(self._settings.amqp_urls[0], timeout=START_S)
        async with connection:
            while await _consumers(connection, queue) < WORKERS:  # noqa: ASYNC110 - a broker can only be asked
                await asyncio.sleep(POLL_S)


async def _consumers(connection: AbstractConnection, queue: str) -> int:
    channel = await open_channel(connection)
    try:
        return (await channel.queue_declare(queue, passive=True, timeout=START_S)).consumer_count or 0
    except aiormq.exceptions.ChannelNotFoundEntity:
        return 0
    finally:
        if not channel.is_closed:
            await channel.close()


async def hear_ready(executor: Child) -> None:
    """Wait until it waits for its order."""
    assert executor.process.stdout is not None
    if (await executor.process.stdout.readline()).decode().strip() != READY:
        await executor.process.wait()
        raise executor.failure()


async def give_order(executor: Child, order: Order, take: Callable[[Report], None]) -> None:
    """Give an executor its order and pass on its reports, until it has done everything."""
    process = executor.process
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(order.model_dump_json().encode() + b"\n")
    await process.stdin.drain()
    process.stdin.close()
    async for line in process.stdout:
        take(Report.model_validate_json(line))
    if await process.wait() != 0:
        raise executor.failure()


def inherited() -> dict[str, str]:
    """Our environment without any setting of Rowcall's: each child is told its own."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("ROWCALL_")}
    return kept | {"PYTHONPATH": os.pathsep.join(_code())}


def without_database(environment: dict[str, str]) -> dict[str, str]:
    """The same without anything that leads to a PostgreSQL."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith("PG") and "POSTGRES" not in name.upper() and name.upper() != "DATABASE_URL"
    }


def _code() -> list[str]:
    """Where the children find this very code, though they start in another folder."""
    here = str(Path(__file__).parents[2])
    given = [str(Path(entry).resolve()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    # What is installed is found anyway, and must not come before the standard library.
    return given if here == sysconfig.get_path("purelib") else [here, *given]
