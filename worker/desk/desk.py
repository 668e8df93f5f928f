"""``Desk``: where dead letters are found, understood, rehearsed and run again.

::

    async with Desk() as desk:
        for group in await desk.groups(Filter(states=WAITING)):
            print(group.count, group.method, group.error)
        report = await desk.replay(Filter(method="accounts.*"), canary=5, rate=100)
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Self

from worker.database import Database
from worker.desk.as_test import written
from worker.desk.changing import Changing
from worker.desk.courier import Courier
from worker.desk.files import Exported, read_lines
from worker.desk.planning import Planner
from worker.desk.reading import Reading
from worker.desk.records import DeskError, Filter, Group, Imported, Letter, Report, Shown, Step
from worker.desk.rehearsal import Rehearsal, RolledBack
from worker.desk.replays import CHUNK, Pace, Progress, Replays
from worker.desk.shelf import Kept, Shelf
from worker.keys import key_ring
from worker.registry import Family, find_families
from worker.served import serve
from worker.settings import WorkerSettings


def _nobody(done: int, total: int) -> None:
    """Whoever asks for no progress is told of none."""


class Desk:
    """The dead letters of one database. A context manager.

    It meets RabbitMQ only in `replay` and `unmoved`: ConnectionError where that has not answered within 10 s.

    Args:
        settings: whose database, keys, families and limits; from the environment unless given.
        families: what is served; what the settings name, unless given.
        actor: who is at the desk, as the audit will tell it; the system's user and host unless given.
    """

    def __init__(
        self,
        settings: WorkerSettings | None = None,
        *,
        families: Sequence[Family] | None = None,
        actor: str | None = None,
    ) -> None:
        self._settings = settings or WorkerSettings()
        self._served = serve(find_families(self._settings.families) if families is None else families, self._settings)
        self._database = Database(self._settings)
        keys = key_ring(self._settings)
        self._shelf = Shelf(self._database, self._served.statements, actor or whoever())
        self._reading = Reading(self._served, keys, self._settings.max_depth)
        self._planner = Planner(self._shelf, self._reading, self._served, self._settings)
        self._changing = Changing(self._shelf, self._reading, self._planner, keys, self._settings)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._database)
        async with self._database.connection(self._settings.acquire_s) as connection:
            there = await connection.fetchval("select to_regclass('rowcall.dead_letters') is not null")
        if not there:
            await self._stack.aclose()
            raise DeskError("this database keeps no dead letters yet; bring it up to date: rowcall migrate")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def find(self, wanted: Filter) -> Sequence[int]:
        """The numbers of the letters that are meant, oldest first."""
        numbers = await self._shelf.find(wanted)
        if wanted.text is None:
            return numbers
        return [kept.letter.number async for kept in self._read(numbers) if self._reading.holds(kept, wanted.text)]

    async def list(self, wanted: Filter, *, limit: int = 50, before: int | None = None) -> Sequence[Letter]:
        """The newest of the letters that are meant, newest first; those before this number, page by page."""
        numbers = [number for number in await self.find(wanted) if before is None or number < before]
        return [kept.letter for kept in reversed(await self._shelf.read(numbers[-limit:]))]

    async def groups(self, wanted: Filter) -> Sequence[Group]:
        """The letters that are meant, by cause; the largest group first."""
        return await self._shelf.groups(await self.find(wanted))

    async def show(self, number: int) -> Shown:
        """All there is to see of a letter. DeskError when there is none of this number."""
        return self._reading.shown(await self._shelf.read_one(number), await self._shelf.deeds(number))

    async def plan(self, wanted: Filter) -> Report:
        """What a replay would do with each, and why not."""
        numbers, steps = await self.find(wanted), list[Step]()
        for start in range(0, len(numbers), CHUNK):
            steps += [planned.step for planned in await self._planner.plan(numbers[start : start + CHUNK])]
        return Report(steps)

    async def rehearse(self, wanted: Filter, *, timeout_s: float = 10.0, progress: Progress = _nobody) -> Report:
        """What a replay would come to: each runs in a transaction that is rolled back. Only sequences move.

        What a worker would log of the calls goes to this program's log.
        """
        numbers, steps = await self.find(wanted), list[Step]()
        async with RolledBack(self._settings) as database:
            rehearsal = Rehearsal(self._served, database, self._settings)
            for number in numbers:
                for planned in await self._planner.plan([number]):
                    sendable = planned.sendable
                    step = await rehearsal.run(planned.step, sendable, timeout_s) if sendable else planned.step
                    steps.append(step)
                progress(len(steps), len(numbers))
        return Report(steps)

    async def replay(
        self,
        wanted: Filter,
        *,
        rate: float | None = None,
        canary: int = 0,
        stop_on_failures: float | None = None,
        timeout_s: float = 30.0,
        progress: Progress = _nobody,
    ) -> Report:
        """Send them again and wait for their outcomes, oldest first, at most 32 at a time.

        Harmless however often: each has the id it had, or one that is kept for it, and runs at most once under it. One
        that nobody answered stays ``replaying``; the next replay takes it up.

        Args:
            wanted: which; those that are not to be sent are told with why.
            rate: calls a second, at most.
            canary: so many go first; should one of them fail, no other is sent.
            stop_on_failures: end when more than this share of the answers, between 0 and 1, are failures; judged from
                the tenth on. Business errors are outcomes, not failures.
            timeout_s: the time each has, at most 300.
            progress: told how many are done with, and how many there are.
        """
        pace = Pace(rate, canary, stop_on_failures, timeout_s, self._settings.max_replays)
        numbers = await self.find(wanted)
        async with Courier(self._settings, self._database.clock) as courier:
            return await Replays(self._shelf, self._planner, courier, pace).run(numbers, progress)

    async def discard(self, wanted: Filter, why: str = "") -> Sequence[int]:
        """Give them up; the numbers of those that were waiting. It forbids nothing: whoever fences an id does that."""
        return await self._shelf.discard(await self.find(wanted), why)

    async def change(self, number: int, changes: Mapping[str, Any]) -> Letter:
        """Make another letter of an open one, with other arguments, and let it take its place.

        The other has a new id, and waits to be replayed. The old id may never run, so only one of the two does.

        Args:
            number: the letter.
            changes: path -> value; a path leads through objects by names and through lists by numbers: ``a.b.0``.

        Raises:
            DeskError: it is not open, has run, or the path leads nowhere.
            InvalidRequest: a worker would not take these arguments.
        """
        return (await self._shelf.read_one(await self._changing.change(number, changes))).letter

    async def export(self, wanted: Filter, *, progress: Progress = _nobody) -> AsyncIterator[str]:
        """Each as a line of JSON. What is sealed stays sealed, and ``import_`` reads it where the same keys are."""
        numbers, done = await self.find(wanted), 0
        await self._shelf.note("export", letters=len(numbers))
        async for kept in self._read(numbers):
            yield Exported.of(kept, self._reading).model_dump_json()
            done += 1
            progress(done, len(numbers))

    async def import_(self, lines: Iterable[str]) -> Imported:
        """Keep exported letters here, all or none. A call that is kept already is left as it is."""
        numbers = await self._shelf.add(list(read_lines(lines, self._reading)))
        added = [number for number in numbers if number is not None]
        return Imported(added, len(numbers) - len(added))

    async def test_for(self, number: int) -> str:
        """A module for pytest that makes this very call, and fails for as long as it meets the bug."""
        kept = await self._shelf.read_one(number)
        call, hidden = self._reading.redacted(kept)
        answer = None if call is None else self._served.answers.get(call["method"])
        if call is None or answer is None:
            raise DeskError(f"dead letter {number} makes no test: {hidden or 'nobody serves its method here'}")
        await self._shelf.note("export", letter=number, form="pytest")
        return written(kept.letter, answer.method.lane, call["args"], self._settings.families)

    async def unmoved(self) -> int:
        """How many messages wait in the queue of dead letters for a worker to bring them here."""
        with contextlib.suppress(DeskError):  # where no worker has ever served, none waits
            async with Courier(self._settings, self._database.clock) as courier:
                return await courier.waiting_letters()
        return 0

    async def _read(self, numbers: Sequence[int]) -> AsyncIterator[Kept]:
        for start in range(0, len(numbers), CHUNK):
            for kept in await self._shelf.read(numbers[start : start + CHUNK]):
                yield kept


def whoever() -> str:
    """Who runs this program, and where."""
    with contextlib.suppress(OSError, KeyError):
        return f"{getpass.getuser()}@{socket.gethostname()}"
    return f"{os.getuid()}@{socket.gethostname()}"
