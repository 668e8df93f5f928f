"""Servers that belong to a test alone, so that it may kill, stop and starve them; and the PostgreSQL of a whole run.

Only processes that were started here are signalled, by their recorded pid and start time.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.servers.debian import Packages
from worker.servers.kind import Kind, Launch
from worker.servers.postgresql import PostgreSQL
from worker.servers.private import Private, remove
from worker.servers.process import Process, run, start_times_are_known, stop
from worker.servers.rabbitmq import RabbitMQ
from worker.servers.records import Instance, Records
from worker.servers.redis import Redis

CONTROL_S = 60.0
KINDS: tuple[type[Kind], ...] = (RabbitMQ, PostgreSQL, Redis)
MEMORY = Path("/dev/shm")
ROOM = 8 << 30
"""Bytes: the tests with a million rows take two GiB of it."""
CHOICES = {PostgreSQL.variable, "ROWCALL_WITH"}
"""With one of these somebody has said which server it shall be."""


class OwnServer:
    """One server of ours: its address stays the same while it is killed and started again."""

    def __init__(self, kind: Kind, private: Private) -> None:
        self.kind = kind
        self.url = ""
        self._private = private

    @property
    def instance(self) -> Instance:
        """Where it lives and which processes it has."""
        return self._private.records.read()[self.kind.name]

    @property
    def process(self) -> Process:
        """The server itself."""
        return self.instance.processes[-1]

    async def start(self) -> None:
        """Start it, anew or again, and wait until it answers."""
        answer = await self._private.ensure(self.kind)
        if not isinstance(answer, str):
            raise OSError(f"{self.kind.name} does not start: {answer}")
        if self.url not in {"", answer}:
            raise OSError(f"{self.kind.name} came back as {answer}, not {self.url}")
        self.url = answer

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server, if it still is the process that was started."""
        if self.process.alive:
            os.kill(self.process.pid, number)

    async def kill(self) -> None:
        """End it as a power cut does."""
        await stop(self.process, signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        await stop(self.process, self.kind.polite)

    async def control(self, *command: str) -> str:
        """Run ``rabbitmqctl`` against this node; what it prints."""
        environment = _environment_of(self.process)
        line = ["rabbitmqctl", "--quiet", *command]
        code, output = await run(line, timeout_s=CONTROL_S, environment=environment, home=self.instance.home)
        if code:
            raise OSError(f"{' '.join(line)}: {output}")
        return output

    @contextlib.asynccontextmanager
    async def memory_alarm(self) -> AsyncIterator[None]:
        """While the block runs the broker takes no more messages, as one short of memory."""
        await self.control("set_vm_memory_high_watermark", "0.0000001")
        try:
            yield
        finally:
            await self.control("set_vm_memory_high_watermark", "0.4")

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """While the block runs the server stands still and its connections stay open."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


@dataclass(frozen=True, slots=True)
class OwnServers:
    """The three, or those of them that were asked for."""

    rabbitmq: OwnServer
    postgresql: OwnServer
    redis: OwnServer


@contextlib.asynccontextmanager
async def own_servers(state: Path, wanted: Sequence[type[Kind]] = KINDS) -> AsyncIterator[OwnServers]:
    """Start servers from installed programs, and remove them in the end. Missing programs are installed where allowed.

    `state` is where it is written down what was started; its owner deletes it.
    """
    packages = Packages(os.environ, print, allowed=os.environ.get("ROWCALL_INSTALL") == "1")
    private = Private(Records(state), packages, os.environ["PATH"], print)
    state.mkdir(parents=True, exist_ok=True)
    servers = {kind: OwnServer(kind(), private) for kind in KINDS}
    try:
        await packages.provide([servers[kind].kind for kind in wanted if servers[kind].kind.lacks(private.path)])
        for kind in wanted:
            await servers[kind].start()
        yield OwnServers(servers[RabbitMQ], servers[PostgreSQL], servers[Redis])
    finally:
        for kind in KINDS:
            await remove(servers[kind].kind, private.records, print)


class Passing(PostgreSQL):
    """One that keeps nothing when its machine fails, and so need not wait for a disk."""

    def launches(self, home: Path, port: int, path: str) -> list[Launch]:
        (plain,) = super().launches(home, port, path)
        return [Launch([*plain.command, "-c", "fsync=off", "-c", "full_page_writes=off"], plain.environment)]


@contextlib.asynccontextmanager
async def passing_postgresql(state: Path) -> AsyncIterator[str | None]:
    """The URL of one for a run of tests, in memory if there is room; None where it is not ours to choose or to start.

    Making and dropping a database for each test was half of what a run took: hundreds of files each time.
    """
    kind, packages = Passing(), Packages(os.environ, print, allowed=False)
    if CHOICES & os.environ.keys() or kind.lacks(os.environ["PATH"]) or not start_times_are_known():
        yield None
        return
    private = Private(Records(state), packages, os.environ["PATH"], print, homes=_in_memory())
    server = OwnServer(kind, private)
    try:
        await server.start()
        yield server.url
    finally:
        await remove(kind, private.records, print)


def _in_memory() -> Path | None:
    """Where files are memory, if they may be many."""
    usable = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM
    return MEMORY if usable else None


def _environment_of(process: Process) -> Mapping[str, str]:
    """The environment a process was started with: for a broker, how to find its node."""
    pairs = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
