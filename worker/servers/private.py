"""Servers of our own, run from installed programs: started, reused, started again, stopped."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from worker.servers.debian import Packages
from worker.servers.errors import NotInstalled, NotStarted
from worker.servers.kind import Kind, shown
from worker.servers.places import Answer, Answers, Missing, each, unbroken
from worker.servers.port import free_port
from worker.servers.process import POLL_S, launch, start_times_are_known, stop, tail
from worker.servers.records import Instance, Records, Say, locked

ANSWER_S = 120.0  # RabbitMQ needs up to 60 s on a slow machine
LAUNCHES = 3  # a port may be snatched, and a killed PostgreSQL holds its memory a moment longer
RETRY_S = 1.0
PREFIX = "rowcall-"


class Private:
    """The last place to look: start what is wanted, after installing it if that is allowed."""

    way = "private"
    name = "private instance"

    def __init__(self, records: Records, packages: Packages, path: str, say: Say, *, homes: Path | None = None) -> None:
        self.records = records
        self.packages = packages
        self.path = path
        self.say = say
        self.homes = homes or _reachable()
        """Where each server's directory is made."""

    async def find(self, wanted: Sequence[Kind]) -> Answers:
        if not start_times_are_known():
            return {kind: Missing("needs Linux's /proc") for kind in wanted}
        async with locked(self.records.state, self.say):
            try:
                await self.packages.provide([kind for kind in wanted if kind.lacks(self.path)])
            except NotInstalled as error:
                return {kind: self._lack(kind, str(error)) for kind in wanted}
            return await each(wanted, self.ensure)

    async def ensure(self, kind: Kind) -> Answer:
        """The recorded instance if it lives; else the same one again; else a new one."""
        try:
            instance = await self.recorded(kind) or self._create(kind)
            if not await self._answers(kind, instance):
                instance = await self._start(kind, instance)
        except (NotStarted, OSError) as error:
            return Missing(str(error))

        return kind.urls(instance.port)[0]

    async def recorded(self, kind: Kind) -> Instance | None:
        """What was started earlier, if it is still of use."""
        instance = self.records.read().get(kind.name)
        if instance and not instance.home.exists():  # another container's record, or an emptied /var/tmp
            await remove(kind, self.records, self.say)
            return None

        return instance

    def _lack(self, kind: Kind, remedy: str) -> Missing:
        if programs := kind.lacks(self.path):
            return Missing(f"not installed: {', '.join(programs)}", remedy)

        return Missing("not started, because another server cannot be")

    def _create(self, kind: Kind) -> Instance:
        home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{kind.name.lower()}-", dir=self.homes))
        instance = Instance(home, free_port())
        self.records.put(kind.name, instance)
        if os.geteuid() == 0:
            owner = _unprivileged(kind.user)
            os.chown(home, owner.pw_uid, owner.pw_gid)
        return instance

    async def _start(self, kind: Kind, instance: Instance) -> Instance:
        self.say(f"{kind.name}: starting a private instance in {instance.home}")
        for _ in range(LAUNCHES):
            await _stop_processes(kind, instance)
            instance = await self._launch(kind, instance)
            if await self._answers(kind, instance):
                return instance
            if instance.alive:
                break
            await asyncio.sleep(RETRY_S)
        await _stop_processes(kind, instance)

        log = instance.home / "log"
        raise NotStarted(f"did not start; {log} ends with:\n{tail(log.read_text(errors='replace'))}")

    async def _launch(self, kind: Kind, instance: Instance) -> Instance:
        instance = replace(instance, port=free_port(instance.port), processes=())
        await kind.prepare(instance.home, self.path)
        for one in kind.launches(instance.home, instance.port, self.path):
            process = launch(one.command, home=instance.home, environment=one.environment)
            instance = instance.plus(process)
            self.records.put(kind.name, instance)

        return instance

    async def _answers(self, kind: Kind, instance: Instance) -> bool:
        """Wait while the process lives: a busy server is not a dead one."""
        url = kind.urls(instance.port)[0]
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while instance.alive:
                    if await kind.refusal(url) is None:
                        return instance.alive  # else it was somebody else who answered
                    await asyncio.sleep(POLL_S)

        return False


class Recorded:
    """What an earlier command started, before the standard ports: our databases are in there."""

    way = Private.way
    name = Private.name

    def __init__(self, private: Private) -> None:
        self.private = private

    async def find(self, wanted: Sequence[Kind]) -> Answers:
        records = self.private.records
        if not records.file.exists():
            return {}
        async with locked(records.state, self.private.say):
            there = [kind for kind in wanted if await self.private.recorded(kind)]
            return unbroken(self.name, await each(there, self.private.ensure))


async def remove(kind: Kind, records: Records, say: Say) -> None:
    """Stop what is recorded of this kind and delete the directory made for it."""
    if (instance := records.read().get(kind.name)) is None:
        return
    await _stop_processes(kind, instance)
    if instance.home.name.startswith(PREFIX):  # never delete on the word of a file alone
        await asyncio.to_thread(shutil.rmtree, instance.home, ignore_errors=True)
    records.remove(kind.name)
    say(f"{kind.name}: stopped the private instance at {shown(kind.urls(instance.port)[0])}")


async def _stop_processes(kind: Kind, instance: Instance) -> None:
    """Last started, first stopped: RabbitMQ says good-bye to its epmd."""
    for process in reversed(instance.processes):
        await stop(process, kind.polite)


def _reachable() -> Path:
    """Where a server that does not run as root may have a directory; if possible a lasting one."""
    lasting = Path("/var/tmp")  # noqa: S108  # mkdtemp makes an unguessable name of mode 700
    return lasting if os.access(lasting, os.W_OK) else Path(tempfile.gettempdir())


def _unprivileged(user: str) -> pwd.struct_passwd:
    with suppress(KeyError):
        return pwd.getpwnam(user)

    return pwd.getpwnam("nobody")
