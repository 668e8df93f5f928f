"""Several worker processes under one: each is started again when it dies, and all end together."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import structlog
import watchfiles

from rpc_client.tasks import end

EX_CONFIG = 78
"""A worker that ends so says that something must be put right first; starting it again cannot help."""
PAUSE_S = 1.0

log = structlog.get_logger("rowcall.supervisor")


async def supervise(processes: int, *, reload: bool) -> int:
    """Run this many workers until a signal asks to stop; with ``reload``, anew whenever their code changes."""
    supervisor = Supervisor()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop.set)
    watch = asyncio.create_task(supervisor.restart_on_change()) if reload else None
    codes = await asyncio.gather(*(supervisor.keep_running(place) for place in range(processes)))
    if watch is not None:
        await end(watch)
    return max(codes)


class Supervisor:
    """Some places, each filled by one worker process at a time."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self._running: dict[int, asyncio.subprocess.Process] = {}

    async def keep_running(self, place: int) -> int:
        """Fill one place until told to stop. The exit code of the last process in it."""
        stopped = asyncio.create_task(self.stop.wait())
        while True:
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", "worker")
            self._running[place] = process
            ended = asyncio.create_task(process.wait())
            await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
            if stopped.done() and not ended.done():
                process.terminate()
            code = await ended
            if self.stop.is_set() or code == EX_CONFIG:
                self.stop.set()
                return abs(code)
            log.warning("a worker ended; another takes its place", pid=process.pid, code=code)
            await asyncio.sleep(0 if code == 0 else PAUSE_S)

    async def restart_on_change(self) -> None:
        """Ask every worker to end when code changes; its place is taken at once by one of the new code."""
        folders = [Path(entry) for entry in sys.path if entry and "site-packages" not in entry]
        watched = [folder for folder in folders if folder.is_dir()]
        async for changes in watchfiles.awatch(*watched, stop_event=self.stop, watch_filter=_is_code):
            log.info("code changed; starting anew", files=len(changes))
            for process in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()


def _is_code(_: watchfiles.Change, path: str) -> bool:
    return path.endswith((".py", ".sql")) and "/." not in path
