"""The processes of a run: each has a place, and whoever falls is replaced, until the crew is told to end.

Only these are ever signalled, through the handles by which they were started. How a client is spoken to: SIGTERM asks
it to begin nothing new, settle whatever is undecided, and end with 0; SIGKILL is SIGKILL, and its successor, started
with the same words, reads its journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.chaos.folder import Folder, Journal
from tests.nursery import Forked, Nursery

ROOT = Path(__file__).parents[2]
PAUSE_S = 0.3
LOOK_S = 0.05
UNARMED = "K0:0/1"
"""A crash point that is never due."""
CUT_SHORT = 1
"""A worker that was asked to end, and had calls in hand that it could not finish in its time."""
EX_TEMPFAIL = 75
"""A worker that could not reach PostgreSQL when it started."""
SIGNS = {"worker": b'"consuming"', "client": b'"started"', "auditor": b""}
"""What each kind writes once it does its work: a worker in its log, a client in its history."""


class Place:
    """One place of the crew, and the process that fills it."""

    def __init__(
        self,
        name: str,
        words: Sequence[str] | Nursery,
        environment: Mapping[str, str],
        folder: Folder,
        told: Journal,
        seed: int,
    ) -> None:
        self.name = name
        self._seed = seed
        self._words, self._environment, self._folder, self._told = words, {**environment}, folder, told
        self._process: asyncio.subprocess.Process | Forked | None = None
        self._number = 0
        self._keeping: asyncio.Task[None] | None = None
        self._sent: set[signal.Signals] = set()
        self._ending = False
        self._seen, self._from = False, 0
        self.spared = False
        """While something else is done to it, it is not killed too."""
        self.trouble: list[str] = []
        """Ends that nobody meant."""

    @property
    def log(self) -> Path:
        return self._folder.logs / f"{self.name}-{self._number}.log"

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process is not None else None

    @property
    def leaves(self) -> bool:
        """Whether its process was asked to end."""
        return signal.SIGTERM in self._sent

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]

    @property
    def works(self) -> bool:
        """Whether it has said that it does its work, and from then on hears what it is asked."""
        if self.pid is None:
            return False
        if not self._seen and self._diary.exists():
            with self._diary.open("rb") as diary:
                diary.seek(self._from)
                self._seen = SIGNS[self.kind] in diary.read()
        return self._seen

    @property
    def _diary(self) -> Path:
        return self._folder.history / f"{self.name}.jsonl" if self.kind == "client" else self.log

    def signal(self, number: signal.Signals) -> int | None:
        """Send it a signal; the pid that it went to."""
        if (pid := self.pid) is not None and self._process is not None:
            self._sent.add(number)
            self._process.send_signal(number)
        return pid

    async def start(self) -> None:
        """Fill the place, and keep it filled."""
        await self._launch()
        self._keeping = asyncio.create_task(self._keep())

    def disarm(self) -> None:
        """Whoever fills the place next is not to die at crash points."""
        if "ROWCALL_CRASH_AT" in self._environment:
            self._environment["ROWCALL_CRASH_AT"] = UNARMED

    def mend(self) -> None:
        """For whoever fills the place next, the bugs of the chaos family are mended."""
        self._environment["CHAOS_MENDED"] = "1"

    async def until_works(self, timeout_s: float = 60.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not self.works:
                await asyncio.sleep(LOOK_S)

    async def replaced(self, timeout_s: float) -> None:
        """Have another in its place, by SIGTERM, and wait until he works."""
        with contextlib.suppress(TimeoutError):
            await self.until_works(timeout_s)
        pid = self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                while self.pid == pid or not self.works:
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            self.trouble.append(f"{self.name} was not replaced within {timeout_s:g} s of SIGTERM")

    async def end(self, timeout_s: float) -> bool:
        """Ask it to end, and wait: whether it did in time. Nobody takes its place any more."""
        with contextlib.suppress(TimeoutError):
            await self.until_works()
        self._ending = True
        self.signal(signal.SIGTERM)
        assert self._keeping is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._keeping), timeout_s)
        if ended := self._keeping.done():
            return ended
        self.trouble.append(f"{self.name} ({self.pid}) did not end within {timeout_s:g} s of SIGTERM")
        self.signal(signal.SIGKILL)
        await self._keeping
        return False

    async def abandon(self) -> None:
        """However the run ends, nobody is left behind."""
        if self._keeping is not None:
            self._ending = True
            self.signal(signal.SIGKILL)
            await self._keeping

    async def _launch(self) -> None:
        self._number += 1
        self._sent, self._seen = set(), False
        self._from = self._diary.stat().st_size if self._diary.exists() else 0
        self._process = await self._begin(self._environment | {"ROWCALL_CRASH_SEED": f"{self._seed}/{self.log.name}"})
        self._told.write(what="start", name=self.name, pid=self._process.pid, log=self.log.name)
        if self._ending:  # meanwhile
            self.signal(signal.SIGKILL)

    async def _begin(self, environment: Mapping[str, str]) -> asyncio.subprocess.Process | Forked:
        """In the run's folder, so that no .env of the checkout speaks to it."""
        with self.log.open("ab") as output:
            if isinstance(self._words, Nursery):
                return await self._words.fork(environment, self._folder.root, self.log)
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self._folder.root,
            )

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            code = await self._process.wait()
            meant = self._meant(code)
            self._told.write(what="end", name=self.name, pid=self._process.pid, code=code, meant=meant)
            if not meant:
                self.trouble.append(f"{self.log.name} ended with {code}")
            if self._ending:
                return
            await asyncio.sleep(0 if code in {0, -signal.SIGKILL} else PAUSE_S)
            if self._ending:
                return
            await self._launch()

    def _meant(self, code: int) -> bool:
        """A worker may be killed, by us, by a crash point or by its own call; nobody may end by himself otherwise."""
        if code == -signal.SIGKILL:
            return signal.SIGKILL in self._sent or self.kind == "worker"
        if code in {0, -signal.SIGTERM}:  # the latter before it had begun to listen for it
            return signal.SIGTERM in self._sent
        if code == CUT_SHORT:
            return signal.SIGTERM in self._sent and self.kind == "worker"
        return code == EX_TEMPFAIL and self.kind == "worker"


class Crew:
    """Everybody, by kind."""

    def __init__(self, folder: Folder, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._told = Journal(folder.crew)
        self.workers: list[Place] = []
        self.clients: list[Place] = []
        self.auditors: list[Place] = []

    @property
    def everybody(self) -> list[Place]:
        return [*self.workers, *self.clients, *self.auditors]

    @property
    def trouble(self) -> list[str]:
        return [trouble for place in self.everybody for trouble in place.trouble]

    def place(
        self, kind: list[Place], name: str, words: Sequence[str] | Nursery, environment: Mapping[str, str]
    ) -> Place:
        """Make one more place of a kind: for a program with its words, or for workers of a nursery."""
        made = Place(name, words, environment, self._folder, self._told, self._seed)
        kind.append(made)
        return made

    async def abandon(self) -> None:
        """Kill whoever is left."""
        await asyncio.gather(*(place.abandon() for place in self.everybody))

    async def end(self, kind: list[Place], timeout_s: float) -> None:
        """Ask all of a kind to end."""
        await asyncio.gather(*(place.end(timeout_s) for place in kind))


def environment(**settings: str) -> dict[str, str]:
    """What a process of a run is told: nothing of what the caller's environment says to Rowcall."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "examples" / "accounts")]),
        **{f"ROWCALL_{name.upper()}": value for name, value in settings.items()},
    }
