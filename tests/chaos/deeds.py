"""Each fault, by its name: how it is done, to whom, and how it is undone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import asyncpg

from tests.chaos.auditor import AWAY
from tests.chaos.crew import Crew, Place
from tests.chaos.folder import Journal
from tests.chaos.links import Ways
from tests.own_servers import OwnServer, OwnServers

CONNECT_S = 2.0
BLACK_HOLE_S = 6.0
FEW = 2
"""While no more workers than this take calls, small faults leave them alone: where starting takes longer than
disturbing, nobody would ever serve again."""
STEADY_S = 1.5
"""For so long all workers work before one of them is killed alone: what another's end left behind is done by then."""
SERVED_S, LOOK_S = 60.0, 0.1
"""So long a large fault waits for a worker that it can be done to."""
NOTICED_S = 20.0
"""Longer than it may take to notice a silent peer."""


class Deeds:
    """What can be done. Every method takes the dice it may throw; each deed is noted when it is over."""

    def __init__(
        self, servers: OwnServers, crew: Crew, worker_ways: list[Ways], client_ways: list[Ways], told: Journal
    ) -> None:
        self._servers, self._crew, self._told = servers, crew, told
        self._worker_ways, self._client_ways = worker_ways, client_ways
        self.database = ""
        """The address of the run's database, past every proxy."""

    # Small ones.

    async def kill(self, chance: random.Random) -> None:
        """SIGKILL of a worker that works."""
        await self._hit(chance, "kill", signal.SIGKILL)

    async def terminate(self, chance: random.Random) -> None:
        """SIGTERM of a worker, as a deployment does it."""
        await self._hit(chance, "terminate", signal.SIGTERM)

    async def client_kill(self, chance: random.Random) -> None:
        """SIGKILL of a client, in the middle of whatever it does."""
        places = [place for place in self._crew.clients if place.pid is not None and not place.spared]
        if places:
            place = chance.choice(places)
            with self._noted("client-kill", place.name, pid=place.signal(signal.SIGKILL)):
                pass

    async def backend(self, chance: random.Random) -> None:
        """A worker's session with PostgreSQL is ended by an operator: whose, it does not say, so all have to be fit."""
        if len(self._able) < FEW or any(place.spared for place in self._crew.workers):
            return
        with contextlib.suppress(*AWAY):
            connection = await asyncpg.connect(self.database, timeout=CONNECT_S, command_timeout=CONNECT_S)
            try:
                ended = await connection.fetchval(
                    "select pid from pg_stat_activity where datname = current_database()"
                    " and application_name like 'rowcall%' order by md5(pid::text || $1::text) limit 1",
                    str(chance.random()),
                )
                with self._noted("backend", "postgresql", pid=ended):
                    await connection.execute("select pg_terminate_backend($1)", ended)
            finally:
                connection.terminate()

    async def cut(self, chance: random.Random) -> None:
        """Every connection of one process to one server is reset."""
        index = chance.randrange(len(self._worker_ways) + len(self._client_ways))
        ways = [*self._worker_ways, *self._client_ways][index]
        way = chance.choice(sorted(ways.proxies))
        place = self._crew.everybody[index]
        if place.spared or (index < len(self._worker_ways) and len(self._able) < FEW):
            return
        with self._noted("cut", f"{place.name} {way}"):
            ways.proxies[way].cut()

    async def lost_answer(self, chance: random.Random) -> None:
        """What PostgreSQL says next to some worker is lost, with the connection: perhaps that it has committed."""
        if len(able := self._able) >= FEW:
            place = chance.choice(able)
            with self._noted("lost-answer", place.name):
                self._ways_of(place).proxies["postgres_url"].lose_answer()

    # By itself.

    async def lone_kill(self, chance: random.Random) -> None:
        """SIGKILL of a worker once all of them work, and have for a while."""
        able, since = self._able_pids, time.monotonic()
        while len(able) < len(self._crew.workers) or time.monotonic() - since < STEADY_S:
            await asyncio.sleep(LOOK_S)
            if (now := self._able_pids) != able:
                able, since = now, time.monotonic()
        place = chance.choice(self._able)
        with self._noted("lone-kill", place.name, pid=place.signal(signal.SIGKILL)):
            pass

    # Large ones: servers.

    async def broker_kill(self, chance: random.Random) -> None:
        await self._down("broker-kill", self._servers.rabbitmq, chance.uniform(0, 1), kill=True)

    async def broker_restart(self, _: random.Random) -> None:
        await self._down("broker-restart", self._servers.rabbitmq, 0, kill=False)

    async def postgres_kill(self, chance: random.Random) -> None:
        await self._down("postgres-kill", self._servers.postgresql, chance.uniform(0.2, 2), kill=True)

    async def postgres_restart(self, _: random.Random) -> None:
        await self._down("postgres-restart", self._servers.postgresql, 0, kill=False)

    async def redis_kill(self, chance: random.Random) -> None:
        await self._down("redis-kill", self._servers.redis, chance.uniform(2, 6), kill=True)

    async def alarm(self, chance: random.Random) -> None:
        """The broker is short of memory, and reads from nobody who publishes."""
        with self._noted("alarm", "RabbitMQ"):
            async with self._servers.rabbitmq.memory_alarm():
                await asyncio.sleep(chance.uniform(4, 7))

    # Large ones: one process.

    async def black_hole(self, chance: random.Random) -> None:
        """Nothing passes between a worker and PostgreSQL, and nobody says so."""
        await self._stand_still(chance, "black-hole", "postgres_url", BLACK_HOLE_S)

    async def worker_cut(self, chance: random.Random) -> None:
        """Nothing passes between a worker and the broker, long enough that both notice."""
        await self._stand_still(chance, "worker-cut", "amqp_url", NOTICED_S)

    async def requests_held(self, chance: random.Random) -> None:
        """What a worker says to the broker does not arrive; what it hears does."""
        await self._stand_still(chance, "requests-held", "amqp_url", chance.uniform(4, 8), answers=False)

    async def answers_held(self, chance: random.Random) -> None:
        """What the broker says to a client does not arrive, confirms and replies, and then never."""
        index = chance.randrange(len(self._client_ways))
        place, proxy = self._crew.clients[index], self._client_ways[index].proxies["amqp_url"]
        with self._noted("answers-held", place.name), self._sparing(place):
            proxy.hold(requests=False)
            try:
                await asyncio.sleep(chance.uniform(4, 8))
                proxy.cut()
            finally:
                proxy.release()

    async def freeze(self, chance: random.Random) -> None:
        """A worker stands still, as a virtual machine that is moved, and then goes on as if nothing had been."""
        if (place := await self._somebody(chance)) is None:
            return
        with self._noted("freeze", place.name, pid=place.pid), self._sparing(place):
            pid = place.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(chance.uniform(8, 20))
            finally:
                if place.pid == pid:
                    place.signal(signal.SIGCONT)

    # How.

    @property
    def _able(self) -> list[Place]:
        """The workers that take calls and go on doing so, and to whom nothing large is done."""
        return [place for place in self._crew.workers if place.works and not place.leaves and not place.spared]

    @property
    def _able_pids(self) -> list[int | None]:
        return [place.pid for place in self._able]

    async def _somebody(self, chance: random.Random) -> Place | None:
        """A worker that takes calls, as soon as there is one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SERVED_S):
                while not self._able:
                    await asyncio.sleep(LOOK_S)
        return chance.choice(able) if (able := self._able) else None

    def _ways_of(self, worker: Place) -> Ways:
        return self._worker_ways[self._crew.workers.index(worker)]

    async def _hit(self, chance: random.Random, fault: str, number: signal.Signals) -> None:
        if len(able := self._able) >= FEW:
            place = chance.choice(able)
            with self._noted(fault, place.name, pid=place.signal(number)):
                pass

    async def _down(self, fault: str, server: OwnServer, away_s: float, *, kill: bool) -> None:
        """A server goes and comes back; the deed ends when it answers again."""
        with self._noted(fault, server.kind.name, pid=server.process.pid):
            await (server.kill() if kill else server.stop())
            await asyncio.sleep(away_s)
            await server.start()

    async def _stand_still(
        self, chance: random.Random, fault: str, way: str, for_s: float, *, answers: bool = True
    ) -> None:
        if (place := await self._somebody(chance)) is None:
            return
        proxy = self._ways_of(place).proxies[way]
        with self._noted(fault, place.name, pid=place.pid), self._sparing(place):
            proxy.hold(answers=answers)
            try:
                await asyncio.sleep(for_s)
            finally:
                proxy.release()

    @contextlib.contextmanager
    def _sparing(self, place: Place) -> Iterator[None]:
        place.spared = True
        try:
            yield
        finally:
            place.spared = False

    @contextlib.contextmanager
    def _noted(self, fault: str, target: str, **more: Any) -> Iterator[None]:
        began = {"at": time.time(), "mono": time.monotonic()}
        try:
            yield
        finally:
            self._told.write(fault=fault, target=target, **more, **began, until=time.monotonic())
