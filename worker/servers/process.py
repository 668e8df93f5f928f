"""Processes that outlive us, and the proof that a pid is still the process we started."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from worker.servers.errors import NotStarted

POLL_S = 0.05  # a process that is not our child cannot be awaited, only looked at
TERMINATE_S = 30.0
KILL_S = 10.0
LAUNCH_S = 10.0
TAIL_LINES = 5
ENDED = -1  # a start time no process has: this one had ended before it could be looked at

# The shell leaves at once, so the server is nobody's child here: no zombie, no kill at our exit.
LAUNCHER = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    started: int
    """Clock ticks after boot: tells a recycled pid from the process we started."""

    @property
    def alive(self) -> bool:
        return started_at(self.pid) == self.started


def started_at(pid: int) -> int | None:
    """When the process started; None if there is none, or only a zombie is left of it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        threads = [*Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return None

    state, *fields = stat.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    ended = state in "ZX" and len(threads) <= 1  # while threads are left, so are its sockets
    return None if ended else int(fields[18])


def start_times_are_known() -> bool:
    """Only Linux tells; elsewhere nothing is started, for it could not be stopped safely."""
    return started_at(os.getpid()) is not None


def launch(command: Sequence[str], *, home: Path, environment: Mapping[str, str]) -> Process:
    """Start ``command`` in its own session as the owner of ``home``, logging to ``home/log``.

    Not a coroutine: nothing may come between the start and the record of it.
    """
    launcher = ["/bin/sh", "-c", LAUNCHER, "sh", str(home / "log"), *command]
    _, output = run_now(launcher, timeout_s=LAUNCH_S, environment=environment, home=home)
    if not output.isdigit():
        raise NotStarted(f"{command[0]} was not started: {output}")

    return Process(int(output), started_at(int(output)) or ENDED)


async def run(
    command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str], home: Path | None = None
) -> tuple[int, str]:
    """``run_now`` in a thread: uvloop's own subprocesses cannot change user."""
    return await asyncio.to_thread(run_now, command, timeout_s=timeout_s, environment=environment, home=home)


def run_now(
    command: Sequence[str], *, timeout_s: float, environment: Mapping[str, str], home: Path | None = None
) -> tuple[int, str]:
    """Run to the end, in ``home`` and as its owner when we are root; the exit code and output."""
    owner = home.stat() if home and os.geteuid() == 0 else None
    try:
        done = subprocess.run(  # noqa: S603  # no shell, and no word of it comes from outside
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            env=environment,
            cwd=home,
            user=owner and owner.st_uid,
            group=owner and owner.st_gid,
            extra_groups=owner and [],
            umask=0o077 if home else -1,
            start_new_session=home is not None,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{command[0]} took longer than {timeout_s:g} s") from None

    return done.returncode, done.stdout.decode(errors="replace").strip()


async def stop(process: Process, polite: signal.Signals) -> None:
    """Ask, wait, then kill; never signals a pid that now belongs to somebody else."""
    for number, patience_s in ((polite, TERMINATE_S), (signal.SIGKILL, KILL_S)):
        if not process.alive:
            return
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)
        with suppress(TimeoutError):
            await _gone(process, patience_s)

    if process.alive:
        raise OSError(f"process {process.pid} does not end")


def tail(output: str) -> str:
    return "\n".join(output.splitlines()[-TAIL_LINES:])


async def _gone(process: Process, patience_s: float) -> None:
    async with asyncio.timeout(patience_s):
        while process.alive:  # noqa: ASYNC110  # there is no event to wait for
            await asyncio.sleep(POLL_S)
