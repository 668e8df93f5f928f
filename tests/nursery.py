"""Workers that are forked where one has been imported already: importing is most of a worker's first second.

A forked worker runs ``worker.__main__.main()`` with an environment, a directory and a log of its own. It is a process
like any other, with a pid, signals and an exit code. What it was spared is reading its modules, so what is about that,
about memory, or about options of Python's starts ``python -m worker`` instead.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import random
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Self


class Forked:
    """A worker of a nursery, as ``asyncio.subprocess.Process`` would be one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._handle: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has ended already, and the next line says so
            self._handle = handle = os.pidfd_open(pid)
            self.ended.add_done_callback(lambda _: os.close(handle))

    @property
    def returncode(self) -> int | None:
        return self.ended.result() if self.ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self.ended)

    def send_signal(self, number: int) -> None:
        """By its handle: its pid may be another's by now. ProcessLookupError where it is known to have ended."""
        if self.ended.done():
            raise ProcessLookupError
        with contextlib.suppress(ProcessLookupError):  # it has, and nobody has told yet
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """Forks workers on request. Made by ``nursery``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked: asyncio.Queue[asyncio.Future[Forked]] = asyncio.Queue()
        self._forked: dict[int, Forked] = {}

    async def fork(self, environment: Mapping[str, str], folder: Path, log: Path) -> Forked:
        """A worker with this environment, in this folder; what it says goes to the end of the log."""
        assert self._process.stdin is not None
        answer: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait(answer)
        told = {"environment": {**environment}, "folder": str(folder), "log": str(log)}
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        return await answer

    async def listen(self) -> None:
        """Learn who was born and who ended."""
        try:
            await self._listen()
        finally:  # whoever is left goes unheard of
            while not self._asked.empty():
                self._asked.get_nowait().cancel()
            for forked in self._forked.values():
                forked.ended.set_exception(ConnectionError("the nursery has gone"))

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            word, pid, *code = line.decode().split()
            if word == "born":
                self._forked[int(pid)] = forked = Forked(int(pid))
                if (answer := self._asked.get_nowait()).cancelled():
                    forked.kill()
                else:
                    answer.set_result(forked)
            else:
                self._forked.pop(int(pid)).ended.set_result(int(code[0]))


@contextlib.asynccontextmanager
async def nursery(environment: Mapping[str, str]) -> AsyncIterator[Nursery]:
    """A nursery, until the block is left; by then its workers have to be gone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.nursery"),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # ^C is for those who end it in order
    )
    made = Nursery(process)
    listening = asyncio.create_task(made.listen())
    try:
        yield made
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening


class Tender:
    """The nursery's own side: forks, and tells of its children."""

    def __init__(self, main: Callable[[], int]) -> None:
        self._main = main

    def __enter__(self) -> Self:
        signal.signal(signal.SIGCHLD, self._reap)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def fork(self, environment: dict[str, str], folder: str, log: str) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # nobody ends before having been born
        if (pid := os.fork()) == 0:
            self._work(environment, folder, log)
        os.write(1, f"born {pid}\n".encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def _work(self, environment: dict[str, str], folder: str, log: str) -> None:
        """Be a worker, and never come back."""
        code = 1
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            nothing, output = os.open(os.devnull, os.O_RDWR), os.open(log, os.O_WRONLY | os.O_APPEND)
            for place, opened in enumerate((nothing, nothing, output)):
                os.dup2(opened, place)
            os.close(nothing)
            os.close(output)
            os.environ.clear()
            os.environ.update(environment)
            os.chdir(folder)
            sys.argv, sys.path[0] = ["rowcall worker"], folder
            random.seed()
            code = self._main()
        except BaseException:  # noqa: BLE001 - as Python does with what nobody caught
            traceback.print_exc()
        finally:
            atexit._run_exitfuncs()  # what the log keeps back would be lost: that it stopped, and what it waited for
            sys.stderr.flush()
            os._exit(code)

    def _reap(self, *_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                os.write(1, f"ended {ended[0]} {os.waitstatus_to_exitcode(ended[1])}\n".encode())


def tend() -> None:
    import accounts.services  # noqa: F401 - these and the worker are what takes so long
    import worker.services.platform  # noqa: F401
    from worker.__main__ import main

    with Tender(main) as tender:
        for line in sys.stdin:
            tender.fork(**json.loads(line))


if __name__ == "__main__":
    tend()
