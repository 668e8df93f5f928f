"""One run: servers of its own, a crew, a nemesis; then peace, and what is left is written down for the checker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from pydantic import SecretStr

from tests.chaos.crew import Crew, Place, environment
from tests.chaos.deeds import Deeds
from tests.chaos.dump import dump
from tests.chaos.folder import Folder, Journal
from tests.chaos.leaks import Held, held
from tests.chaos.links import Ways, ways
from tests.chaos.nemesis import Nemesis
from tests.chaos.peace import peace
from tests.chaos.plan import FAMILIES, Plan
from tests.chaos.replaying import replay
from tests.nursery import Nursery, nursery
from tests.own_servers import OwnServers, own_servers
from worker.keys import new_key
from worker.migrations import migrate
from worker.registry import find_families
from worker.servers import create_database
from worker.settings import WorkerSettings

POOL = 6
MANNED_S = 180.0
"""Until every worker works, on a machine that has other things to do."""
DRAIN_S = 3.0
LAID_S = 120.0
"""Until the load begins; where a planted bug keeps it from that, the faults come without."""
SETTLED_S = 180.0
"""After the last fault, until every client knows of every call what became of it."""
ENDED_S = 60.0


async def run(plan: Plan) -> list[str]:
    """Make the run; its folder then holds everything. What went wrong with the rig itself, in words."""
    folder = Folder(plan.folder)
    folder.make()
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # and nothing is left behind
    async with own_servers(plan.folder / "servers") as servers, contextlib.AsyncExitStack() as stack:
        settings = await _settings(plan, servers)
        _note(plan, folder, settings)
        rig = await stack.enter_async_context(_manned(plan, folder, servers, settings))
        stack.push_async_callback(_keep_logs, folder, servers)
        return await rig.go()


class _Rig:
    """What stands while a run lasts."""

    def __init__(self, plan: Plan, folder: Folder, servers: OwnServers, settings: WorkerSettings) -> None:
        self._plan, self._folder, self._servers, self._settings = plan, folder, servers, settings
        self.crew = Crew(folder, plan.seed)
        self.worker_ways: list[Ways] = []
        self.client_ways: list[Ways] = []
        self.base = settings_of(settings)

    async def man(self, stack: contextlib.AsyncExitStack) -> None:
        """Lay every process's ways, and name its place."""
        plan, urls = self._plan, {name: self.base[name] for name in ("amqp_url", "postgres_url", "redis_url")}
        planted = {"plant": plan.plant} if plan.plant else {}
        hooks = {"test_hooks": "1"} | ({"crash_at": plan.crash_points} if plan.wants("crash-points") else {})
        worker: list[str] | Nursery = ["-m", "tests.chaos.worker"]
        if not plan.plant:  # forked, so that starting takes no processor from those that work
            worker = await stack.enter_async_context(nursery(environment(**hooks)))
        for number in range(plan.workers):
            self.worker_ways.append(way := await stack.enter_async_context(ways(urls)))
            told = environment(**self.base, **planted, **hooks) | environment(**way.urls)
            self.crew.place(self.crew.workers, f"worker-{number}", worker, told)
        for number in range(plan.clients):
            self.client_ways.append(way := await stack.enter_async_context(ways(urls, ("amqp_url",))))
            told = environment(**self.base, **planted) | environment(**way.urls)
            self.crew.place(self.crew.clients, f"client-{number}", self._client(number), told)
        auditor = ["-m", "tests.chaos.auditor", "--run", str(plan.folder)]
        self.crew.place(self.crew.auditors, "auditor", auditor, environment(**self.base))

    def _client(self, number: int) -> list[str]:
        plan = self._plan
        words = ["-m", "tests.chaos.client", "--run", plan.folder, "--number", number, "--seed", plan.seed]
        words += ["--rate", plan.rate / plan.clients, "--clients", plan.clients]
        words += ["--without", ",".join(sorted(plan.without))] if plan.without else []
        return [str(word) for word in words]

    async def go(self) -> list[str]:
        """Start, disturb, make peace, replay what is dead, write down what is left."""
        crew = self.crew
        await _start(crew.workers)
        await asyncio.gather(*(place.until_works(MANNED_S) for place in crew.workers))
        leaks: dict[str, Held] = {"baseline": await self._held()}
        await _start([*crew.auditors, *crew.clients])
        unladen = await self._loaded()
        told = Journal(self._folder.nemesis)
        deeds = Deeds(self._servers, crew, self.worker_ways, self.client_ways, told)
        deeds.database = self.base["postgres_url"]
        await Nemesis(self._plan, deeds).run()
        healed = time.monotonic()
        await self._deploy(Place.disarm)
        await crew.end(crew.clients, SETTLED_S)
        told.write(fault="settled", target="clients", until=time.monotonic(), mono=healed)
        trouble = await peace(self._settings, crew.workers)
        if not trouble:  # a client would meet a bug here and its mend there
            await self._deploy(Place.mend)
            trouble += await replay(self._settings, self._folder)
            trouble += await peace(self._settings, crew.workers)
        leaks["end"] = await self._held()
        await crew.end([*crew.auditors, *crew.workers], ENDED_S)
        leaks["stopped"] = await self._held()
        (self._folder.dump / "leaks.json").write_text(json.dumps(leaks, indent=1))
        await dump(self._folder.root, self._settings)
        return [*crew.trouble, *unladen, *trouble]

    async def _loaded(self) -> list[str]:
        """Wait until there is load: all but the first client begin with it when that one has laid the ground."""
        others = [self._folder.history / f"client-{number}.jsonl" for number in range(1, self._plan.clients)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAID_S):
                while not all(path.exists() and b'"invoke"' in path.read_bytes() for path in others):
                    await asyncio.sleep(0.1)
                return []
        return [] if self._plan.plant else [f"no load within {LAID_S:g} s"]

    async def _deploy(self, change: Callable[[Place], None]) -> None:
        """Have other workers, changed so: two by two, so that somebody always serves."""
        for place in self.crew.workers:
            change(place)
        half = len(self.crew.workers) // 2
        for places in (self.crew.workers[:half], self.crew.workers[half:]):
            await asyncio.gather(*(place.replaced(ENDED_S) for place in places))

    async def _held(self) -> Held:
        return await held(self._servers, self.base["postgres_url"], self.crew.workers)


@contextlib.asynccontextmanager
async def _manned(plan: Plan, folder: Folder, servers: OwnServers, settings: WorkerSettings) -> AsyncIterator[_Rig]:
    """A rig whose processes end with the block, whatever happens in it."""
    rig = _Rig(plan, folder, servers, settings)
    async with contextlib.AsyncExitStack() as stack:
        await rig.man(stack)
        try:
            yield rig
        finally:
            await rig.crew.abandon()


async def _start(places: list[Place]) -> None:
    for place in places:
        await place.start()


async def _settings(plan: Plan, servers: OwnServers) -> WorkerSettings:
    """Those of the run's processes, by the servers' own addresses; its database is made and migrated."""
    url = await create_database(servers.postgresql.url, "rowcall_chaos")
    settings = WorkerSettings(
        _env_file=None,
        amqp_url=SecretStr(servers.rabbitmq.url),
        postgres_url=SecretStr(url),
        redis_url=SecretStr(servers.redis.url),
        prefix=f"rowcall-chaos-{plan.seed}",
        families=list(FAMILIES),
        pool_size=POOL,
        drain_s=DRAIN_S,
        encryption_keys=SecretStr(new_key()),
    )
    await migrate(settings, find_families(settings.families))
    return settings


def settings_of(settings: WorkerSettings) -> dict[str, str]:
    """The settings that a run's processes are told, as text."""
    return {
        "amqp_url": settings.amqp_url.get_secret_value(),
        "postgres_url": settings.postgres_url.get_secret_value(),
        "redis_url": settings.redis_url.get_secret_value(),
        "encryption_keys": settings.encryption_keys.get_secret_value(),
        "prefix": settings.prefix,
        "families": ",".join(settings.families),
        "pool_size": str(settings.pool_size),
        "drain_s": str(settings.drain_s),
    }


def _note(plan: Plan, folder: Folder, settings: WorkerSettings) -> None:
    about = {
        "seed": plan.seed,
        "duration_s": plan.duration_s,
        "prefix": settings.prefix,
        "started_at": time.time(),
        "mono": time.monotonic(),
        "workers": plan.workers,
        "clients": plan.clients,
        "pool_size": settings.pool_size,
        "without": sorted(plan.without),
        "plant": plan.plant,
    }
    folder.run.write_text(json.dumps(about, indent=1))


async def _keep_logs(folder: Folder, servers: OwnServers) -> None:
    """What the servers said of themselves goes with them otherwise."""
    for server in (servers.rabbitmq, servers.postgresql, servers.redis):
        said = server.instance.home / "log"
        if said.exists():
            await asyncio.to_thread(shutil.copyfile, said, Path(folder.logs / f"{server.kind.name.lower()}.log"))
