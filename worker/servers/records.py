"""What we started, written down so that a later command can reuse it or stop it."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from worker.servers.errors import ServersUnavailable
from worker.servers.process import POLL_S, Process

Say = Callable[[str], None]

LOCK_S = 1800.0  # another command may be installing packages


@dataclass(frozen=True, slots=True)
class Instance:
    """A private server: its directory, its port, and its processes in the order they started."""

    home: Path
    port: int
    processes: tuple[Process, ...] = ()

    @property
    def alive(self) -> bool:
        return bool(self.processes) and self.processes[-1].alive

    def plus(self, process: Process) -> Instance:
        return replace(self, processes=(*self.processes, process))


class Records:
    """The state file; change it only while holding ``locked``."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.file = state / "servers.json"

    def read(self) -> dict[str, Instance]:
        if not self.file.exists():
            return {}
        try:
            found = json.loads(self.file.read_text())
            return {name: _instance(**fields) for name, fields in found.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise ServersUnavailable(
                f"{self.file} cannot be read ({error}). It lists the servers Rowcall started: "
                "stop those by hand, then delete it."
            ) from error

    def put(self, name: str, instance: Instance) -> None:
        self._write({**self.read(), name: instance})

    def remove(self, name: str) -> None:
        self._write({other: one for other, one in self.read().items() if other != name})

    def _write(self, instances: dict[str, Instance]) -> None:
        if not instances:
            self.file.unlink(missing_ok=True)
            return
        fields = {name: asdict(instance) for name, instance in instances.items()}
        draft = self.file.with_suffix(".part")  # whole or not at all: a torn record leaks a process
        draft.write_text(json.dumps(fields, default=str, indent=1))
        draft.replace(self.file)


@asynccontextmanager
async def locked(state: Path, say: Say) -> AsyncIterator[None]:
    """One command at a time may start or stop private servers; creates ``state``."""
    descriptor = _open(state)
    try:
        if not _lock(descriptor):
            say(f"waiting for another rowcall that is at work in {state}")
            await _lock_soon(descriptor, state)
        yield
    finally:
        os.close(descriptor)  # which also releases the lock


def _open(state: Path) -> int:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(state / "servers.lock", os.O_RDWR | os.O_CREAT, 0o600)


async def _lock_soon(descriptor: int, state: Path) -> None:
    try:
        async with asyncio.timeout(LOCK_S):
            while not _lock(descriptor):  # noqa: ASYNC110  # waiting inside flock would block the loop
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        message = f"another rowcall has held {state}/servers.lock for {LOCK_S:g} s: end it first"
        raise ServersUnavailable(message) from None


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False

    return True


def _instance(home: str, port: int, processes: list[dict[str, int]]) -> Instance:
    return Instance(Path(home), port, tuple(Process(**process) for process in processes))
