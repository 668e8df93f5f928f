"""Places where servers may be; each is asked for all that are still wanted, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.servers.errors import ServersUnavailable
from worker.servers.kind import Kind, shown


@dataclass(frozen=True, slots=True)
class Missing:
    """Not here: why, and what a person can do about it."""

    reason: str
    remedy: str | None = None


Answer = str | Missing
Answers = Mapping[Kind, Answer]


class Place(Protocol):
    @property
    def way(self) -> str:
        """The word that asks for it: ``rowcall up --with WAY``."""

    @property
    def name(self) -> str:
        """Reads well before "at host:port"."""

    async def find(self, wanted: Sequence[Kind]) -> Answers:
        """The URL of each wanted server, or why it is not here; may stay silent about some."""


class Environment:
    """URLs somebody chose: never silently replaced by something else."""

    way = "environment"
    name = "from the environment"

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment

    async def find(self, wanted: Sequence[Kind]) -> Answers:
        answers = await each(wanted, self._look)
        wrong = [answer.remedy for answer in answers.values() if isinstance(answer, Missing) and answer.remedy]
        if wrong:
            raise ServersUnavailable("\n".join(wrong))

        return answers

    async def _look(self, kind: Kind) -> Answer:
        if not (url := self.environment.get(kind.variable)):
            return Missing(f"{kind.variable} is not set")
        if (why := await kind.refusal(url)) is None:
            return url

        return Missing(
            why,
            f"{kind.variable} is set, but no usable {kind.name} answers at {shown(url)}: {why}. "
            f"Correct {kind.variable}, or unset it to let Rowcall look elsewhere.",
        )


class Running:
    """Servers that already answer on their standard port of this machine."""

    way = "running"
    name = "running"

    def __init__(self, ports: Mapping[str, int]) -> None:
        self.ports = ports

    async def find(self, wanted: Sequence[Kind]) -> Answers:
        return await each(wanted, lambda kind: look_at(kind, self.ports[kind.name]))


async def look_at(kind: Kind, port: int) -> Answer:
    """The URL under which the server answers at a port of this machine."""
    reasons: list[str] = []
    for url in kind.urls(port):
        if (why := await kind.refusal(url)) is None:
            return url
        reasons.append(why)

    return Missing(f"not at 127.0.0.1:{port} ({'; '.join(dict.fromkeys(reasons))})")


async def each(wanted: Sequence[Kind], look: Callable[[Kind], Coroutine[None, None, Answer]]) -> Answers:
    """Ask for all of them at the same time."""
    async with asyncio.TaskGroup() as group:
        tasks = {kind: group.create_task(look(kind)) for kind in wanted}

    return {kind: task.result() for kind, task in tasks.items()}


def unbroken(name: str, answers: Answers) -> Answers:
    """All of them, or an error: another server would do, but not hold what this one holds. A person decides."""
    broken = {kind: answer for kind, answer in answers.items() if isinstance(answer, Missing)}
    if not broken:
        return answers
    lines = [f"{kind.name}, {name} of an earlier command: {no.reason}" for kind, no in broken.items()]
    raise ServersUnavailable("\n".join([*lines, "Repair it, or give up its data with `rowcall down` and try again."]))
