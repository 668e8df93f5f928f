"""The nemesis: does what power cuts, networks, operators and deployments do, as a seed says, and notes each deed.

Large faults come one after the other, for each can be judged only by itself; small ones all the time beside them. Who
suffers a large one as a single process is spared the small ones meanwhile. While the broker is in an alarm there are
none: whether workers then go on with what they have is to be seen in workers that nobody disturbs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable

from tests.chaos.deeds import Deeds
from tests.chaos.plan import Plan

CALM_S = 6.0
"""Before the first large fault, and after the last."""
GAP_S = (3.0, 6.0)
ALONE_S = 30.0
"""For so long there are lone SIGKILLs and nothing else, after what every run has and then after each further round."""
MUST = ("broker-kill", "postgres-kill", "redis-kill", "alarm", "black-hole")
"""Every run has these, however short: they come first, in an order of the seed."""
LARGE = (*MUST, "postgres-restart", "broker-restart", "freeze", "worker-cut", "answers-held", "requests-held")
SMALL_S = {
    "terminate": 10.0,
    "backend": 2.0,
    "cut": 5.0,
    "lost-answer": 4.0,
    "client-kill": 20.0,
}
"""How often, in the mean."""

Fault = Callable[[random.Random], Awaitable[None]]


class Nemesis:
    """Follows a plan's seed until it is told to stop."""

    def __init__(self, plan: Plan, deeds: Deeds) -> None:
        self._plan, self._deeds = plan, deeds
        self._small = {"kill": plan.kill_every_s, **SMALL_S}
        self._hushed = False
        """Whether the small ones wait."""

    async def run(self) -> None:
        """Everything, for the plan's duration, and until every large fault that must come has been."""
        until = time.monotonic() + self._plan.duration_s - CALM_S
        small = [
            asyncio.create_task(self._again(name, every_s, until))
            for name, every_s in self._small.items()
            if self._plan.wants(name)
        ]
        try:
            await self._in_turn(until)
            await asyncio.sleep(until - time.monotonic())
        finally:
            for task in small:
                task.cancel()
        ended = await asyncio.gather(*small, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        await asyncio.sleep(CALM_S)

    def order(self) -> list[str]:
        """The large faults of one round after another, as many as a run of any length needs."""
        chance = self._chance("order")
        must = [name for name in MUST if self._plan.wants(name)]
        rest = [name for name in LARGE if name not in MUST and self._plan.wants(name)]
        chance.shuffle(must)
        chance.shuffle(rest)
        order = must + rest
        for _ in range(100 if order else 0):
            order += chance.sample(must + rest, len(must + rest))
        return order

    async def _in_turn(self, until: float) -> None:
        chance = self._chance("large")
        await asyncio.sleep(CALM_S)
        kinds = [name for name in LARGE if self._plan.wants(name)]
        due = sum(name in MUST for name in kinds)
        for number, name in enumerate(self.order()):
            if number >= due and time.monotonic() >= until:
                return
            self._hushed = name == "alarm"
            await self._do(name, chance)
            self._hushed = False
            await asyncio.sleep(chance.uniform(*GAP_S))
            rounded = number + 1 >= due and (number + 1 - due) % len(kinds) == 0
            if rounded and self._plan.wants("lone-kill") and until - time.monotonic() > 2 * ALONE_S:
                await self._lone_kills()

    async def _lone_kills(self) -> None:
        chance = self._chance("lone-kill")
        self._hushed = True
        await asyncio.sleep(CALM_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ALONE_S):
                while True:
                    await self._do("lone-kill", chance)
        self._hushed = False

    async def _again(self, name: str, every_s: float, until: float) -> None:
        chance = self._chance(name)
        while time.monotonic() < until:
            await asyncio.sleep(every_s * chance.uniform(0.6, 1.4))
            if not self._hushed:
                await self._do(name, chance)

    async def _do(self, name: str, chance: random.Random) -> None:
        fault: Fault = getattr(self._deeds, name.replace("-", "_"))
        await fault(chance)

    def _chance(self, what: str) -> random.Random:
        """Each has dice of its own, so that none depends on how long another took."""
        return random.Random(f"{self._plan.seed}/{what}")
