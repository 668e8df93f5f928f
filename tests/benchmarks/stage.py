"""Everything a run needs, started and cleaned up: servers, a database of its own, workers, the peers' servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import aio_pika
import asyncpg
from pydantic import SecretStr

from tests.benchmarks.cells import POOL
from tests.benchmarks.cpu import Servers
from tests.benchmarks.systems import OURS, SERVED, Place
from tests.benchmarks.work import MIXED
from worker import stream, topology
from worker.migrations import migrate
from worker.registry import find_families
from worker.servers import create_database, drop_database, find
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
FAMILIES = ["tests.benchmarks.family:family", "worker.services.platform:family"]
Say = Callable[[str], object]
START_S = 60.0
STOP_S = 30.0


class Process:
    """A process we started: its pid, its log, its pipes."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    @property
    def pid(self) -> int:
        return self.process.pid

    async def tell(self, words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        await self.process.stdin.drain()

    async def hear(self, timeout_s: float = START_S) -> str:
        """Its next line. RuntimeError with the end of its log when it has ended."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), timeout_s)
        if not line:
            raise RuntimeError(f"{self.name} ended:\n{self.last_words}")
        return line.decode().strip()

    @property
    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            await asyncio.wait_for(self.process.wait(), STOP_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class Stage:
    """What stands while a run lasts."""

    def __init__(self, settings: WorkerSettings, place: Place, folder: Path) -> None:
        self.settings, self.place, self._folder = settings, place, folder
        self._workers: list[Process] = []
        self._peers: dict[str, Process] = {}
        self._started = 0
        self.servers: Servers

    def serving(self, system: str) -> list[int]:
        """The pids of a system's own server side."""
        if system in OURS:
            return [worker.pid for worker in self._workers]
        return [self._peers[system].pid] if system in self._peers else []

    async def workers(self, number: int) -> None:
        """Have so many of Rowcall's worker processes, as ``rowcall worker`` starts them."""
        while len(self._workers) > number:
            await self._workers.pop().stop()
        while len(self._workers) < number:
            self._workers.append(await self.start("worker", ["-m", "worker"], _environment(self.settings)))
            await asyncio.wait_for(self._consuming(self._workers[-1]), START_S)

    async def start_peers(self, systems: Iterable[str]) -> None:
        for system in systems:
            if system in SERVED:
                peer = await self.start(system, ["-m", "tests.benchmarks.server", system])
                self._peers[system] = peer
                await peer.tell(asdict(self.place))
                while await peer.hear() != "ready":
                    pass

    async def start(self, name: str, words: list[str], environment: dict[str, str] | None = None) -> Process:
        self._started += 1
        log = self._folder / f"{name}-{self._started}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                limit=64 << 20,
                env=environment or _environment(None),
                cwd=self._folder,  # so that no .env of the checkout speaks to it
            )
        return Process(name, process, log)

    async def _consuming(self, worker: Process) -> None:
        while '"consuming"' not in worker.log.read_text():
            if worker.process.returncode is not None:
                raise RuntimeError(f"the worker ended:\n{worker.last_words}")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        await asyncio.gather(*(process.stop() for process in [*self._workers, *self._peers.values()]))


@contextlib.asynccontextmanager
async def set_up(systems: set[str], workloads: set[str], *, reset: bool, say: Say = print) -> AsyncIterator[Stage]:
    """Everything these need; whatever was made is removed by its name or pid, whatever happens."""
    state = Path.cwd() / ".rowcall"
    found = await find(state=state, install=os.environ.get("ROWCALL_INSTALL") == "1", say=say)
    run = uuid4().hex[:12]
    database = f"rowcall_bench_{run}"
    async with contextlib.AsyncExitStack() as stack:
        url = await create_database(found.postgres_url, database)
        stack.push_async_callback(drop_database, found.postgres_url, database)
        prefix = f"rowcall-bench-{run}"
        settings = _settings(found.amqp_url, url, found.redis_url, prefix)
        say(f"database {database}, prefix {prefix}")
        await migrate(settings, find_families(settings.families))
        connection = await asyncpg.connect(url)
        stack.push_async_callback(connection.close)
        await _seed(connection, workloads)
        stack.push_async_callback(topology.delete, settings)
        stack.push_async_callback(stream.delete, settings)
        stack.push_async_callback(_delete_queues, settings)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rowcall-bench-")))
        port = _free_port()
        place = Place(settings.amqp_urls[0], url, found.redis_url, prefix, reset=reset, http_port=port)
        stage = Stage(settings, place, folder)
        stack.push_async_callback(stage.stop)
        stage.servers = await Servers.find(settings, connection)
        if systems & set(OURS):
            await stage.workers(1)
        await stage.start_peers(sorted(systems))
        yield stage


async def _seed(connection: asyncpg.Connection, workloads: set[str]) -> None:
    for name in ("seed.sql", *(["seed_platform.sql"] if "mixed" in workloads else [])):
        await connection.execute((HERE / name).read_text())
    await connection.execute("vacuum analyze")
    await connection.execute("checkpoint")


async def _delete_queues(settings: WorkerSettings) -> None:
    """The peers' queues delete themselves with their last consumer; this is for those that never had one."""
    names = ("noop", "read_user", "write", "list_rows", "slow", *MIXED)
    async with await aio_pika.connect(settings.amqp_urls[0]) as connection:
        channel = await connection.channel()
        for system in ("aio_pika", "faststream"):
            for name in names:
                await channel.queue_delete(f"{settings.prefix}.{system}.{name}")


def _settings(amqp_url: str, postgres_url: str, redis_url: str, prefix: str) -> WorkerSettings:
    """Rowcall as shipped: nothing but addresses, families and the prefix is set."""
    return WorkerSettings(
        _env_file=None,
        amqp_url=SecretStr(amqp_url),
        postgres_url=SecretStr(postgres_url),
        redis_url=SecretStr(redis_url),
        prefix=prefix,
        families=FAMILIES,
        pool_size=POOL,
    )


def _environment(settings: WorkerSettings | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("ROWCALL_")}
    kept["PYTHONPATH"] = str(ROOT)
    if settings is None:
        return kept
    return kept | {
        "ROWCALL_AMQP_URL": settings.amqp_url.get_secret_value(),
        "ROWCALL_POSTGRES_URL": settings.postgres_url.get_secret_value(),
        "ROWCALL_REDIS_URL": settings.redis_url.get_secret_value(),
        "ROWCALL_PREFIX": settings.prefix,
        "ROWCALL_FAMILIES": ",".join(settings.families),
        "ROWCALL_POOL_SIZE": str(settings.pool_size),
    }


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
