"""Time-outs, duplicates, late deliveries, lost answers and fences, all at once: what is told and what is true agree.

What is true stands in the family's own tables: every entry carries the request id of its call as its note.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from uuid_utils.compat import uuid7

from accounts.services import family as accounts_family
from rpc_client.wire import decode_reply, encode_call
from tests.proxy import Proxy, proxied
from worker.calls import Origin
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker

WORKERS = 3
ACCOUNTS = 6
OPENING = 1000
LIKELY = ["accounts.deposit", "accounts.deposit", "accounts.withdraw", "accounts.transfer"]
ROWS = {"accounts.deposit": 1, "accounts.withdraw": 1, "accounts.transfer": 2}
"""The entries of a call that is done."""
PATIENCE_S = [0.06] * 9 + [1.0]
"""About as long as a call takes; now and then so long that some are done on a slow machine too."""


def arriving(*, again: bool = False) -> Origin:
    """A message that arrives now: nothing may run later than 300 s after its arrival."""
    return Origin("tests", "tests", None, None, redelivered=again)


@dataclass(frozen=True)
class Planned:
    """A call, whose lines differ in deadline and attempt only."""

    id: UUID
    method: str
    arguments: dict[str, Any]

    def line(self, *, left_s: float, attempt: int) -> bytes:
        deadline_ms = int((time.time() + left_s) * 1000)
        return encode_call(str(self.id), self.method, orjson.dumps(self.arguments), deadline_ms, attempt)


@dataclass
class Crew:
    """Workers on one database, each through a connection that can be cut."""

    dice: random.Random
    workers: list[LocalWorker] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)
    told: defaultdict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """What was replied to deliveries of a call, and to questions for it, by its id."""

    def planned(self) -> Planned:
        """A call that succeeds, mostly."""
        request_id = self.dice.choice([uuid4, uuid7])()
        method = self.dice.choice(LIKELY)
        amount = self.dice.choice([1, 2, 3, 10_000]) if method != "accounts.deposit" else 5
        source, target = (f"a-{n}" for n in self.dice.sample(range(ACCOUNTS), 2))
        names = {"source_id": source, "target_id": target} if method == "accounts.transfer" else {"account_id": source}
        return Planned(request_id, method, {**names, "amount": amount, "note": str(request_id)})

    async def deliver(self, calls: list[Planned], origin: Origin, *, left_s: float, attempt: int = 1) -> None:
        """A message of calls of one method, to any of the workers."""
        body = b"\n".join(call.line(left_s=left_s, attempt=attempt) for call in calls)
        answered = await self.dice.choice(self.workers).pipeline.answer(body, origin, f"write.{calls[0].method}")
        for reply in map(decode_reply, answered.replies):
            maybe_repeat = origin.redelivered or attempt > 1
            self.told[reply["id"]].append({**reply, "maybe_repeat": maybe_repeat})

    async def fence(self, call: Planned) -> dict[str, Any]:
        """Ask any of the workers to decide it, until it is decided."""
        while True:
            outcome = await self._asked(call)
            if outcome is not None:
                self.told[str(call.id)].append(outcome)
                return outcome

    async def _asked(self, call: Planned) -> dict[str, Any] | None:
        question = Planned(uuid4(), "rowcall.outcome", {"id": str(call.id), "fence": True})
        pipeline = self.dice.choice(self.workers).pipeline
        sent = question.line(left_s=5, attempt=1)
        reply = decode_reply((await pipeline.answer(sent, arriving(), "read.rowcall.outcome")).replies[0])
        assert reply.get("error", "Unavailable") == "Unavailable", reply
        return reply.get("result")


@contextlib.asynccontextmanager
async def crewed(settings: WorkerSettings, sql: asyncpg.Connection, seed: int) -> AsyncIterator[Crew]:
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    crew = Crew(random.Random(seed))
    small = settings.model_copy(update={"pool_size": 6})
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(WORKERS):
            proxy, url = await stack.enter_async_context(proxied(settings.postgres_url.get_secret_value()))
            crew.proxies.append(proxy)
            crew.workers.append(await stack.enter_async_context(local_worker(url, [accounts_family], settings=small)))
        await sql.execute(
            "insert into accounts.accounts (account_id, owner, balance)"
            " select 'a-' || n, 'me', $1 from generate_series(0, $2 - 1) as n",
            OPENING,
            ACCOUNTS,
        )
        yield crew


async def hold_rows(sql: asyncpg.Connection, dice: random.Random) -> None:
    """Lock one account after the other for a moment."""
    while True:
        async with sql.transaction():
            account = f"a-{dice.randrange(ACCOUNTS)}"
            await sql.execute("select 1 from accounts.accounts where account_id = $1 for update", account)
            await asyncio.sleep(dice.uniform(0, 0.1))
        await asyncio.sleep(dice.uniform(0, 0.02))


async def lose_answers(proxies: list[Proxy], dice: random.Random) -> None:
    """Let a worker miss an answer of its database every now and then: by how often that speaks, not by time.

    On a slow machine connections would else be cut faster than they can be made.
    """
    while True:
        proxy = dice.choice(proxies)
        proxy.lose_answer(after=dice.randrange(40))
        while proxy.loses_an_answer:
            await asyncio.sleep(0.01)


async def check(crew: Crew, calls: list[Planned], sql: asyncpg.Connection) -> Counter[str]:
    """What was told of each call agrees with the tables, and with itself; how many calls came to what."""
    entries = dict(await sql.fetch("select note, count(*) from accounts.entries group by note"))
    came_to: Counter[str] = Counter()
    for call in calls:
        told = crew.told[str(call.id)]
        decided = [outcome for outcome in told if "state" in outcome]
        (state,) = {outcome["state"] for outcome in decided}
        assert entries.get(str(call.id), 0) == (ROWS[call.method] if state == "done" else 0), (call, told)
        replies = [reply for reply in told if "state" not in reply]
        for reply in replies:
            check_reply(reply, decided[0], alone=len(replies) <= 2)  # the last delivery came when it was decided
        came_to[state] += 1
    assert await sql.fetchval("select sum(balance) from accounts.accounts") == ACCOUNTS * OPENING + await sql.fetchval(
        "select coalesce(sum(amount), 0) from accounts.entries"
    )
    return came_to


def check_reply(reply: dict[str, Any], outcome: dict[str, Any], *, alone: bool) -> None:
    """A reply is the outcome's own, or says nothing that the outcome denies. `alone`: of the only delivery that ran."""
    if reply.get("error") == "Unavailable":
        return  # nobody knew
    if reply.get("error") == "DeadlineExceeded":
        assert not reply["maybe_repeat"]  # a repeat has to know of the others; this one is told of itself
        assert outcome["state"] != "done" or not alone
        return
    assert {name: reply[name] for name in reply.keys() - {"id", "maybe_repeat"}} == outcome["reply"]


async def one_life(crew: Crew, calls: list[Planned]) -> None:
    """Deliver a message once or several times, perhaps late, and perhaps fence some of it meanwhile."""
    dice = crew.dice
    left_s = dice.choice([0.02, 0.3, 5, 30])  # the last is long enough for a slow machine too

    async def deliver(attempt: int) -> None:
        await asyncio.sleep(dice.uniform(0, 0.5) if attempt == 1 else dice.uniform(0, 1.5))
        origin = arriving(again=attempt > 1 and dice.random() < 0.5)
        await crew.deliver(calls, origin, left_s=left_s - dice.choice([0, 0, 0.2]), attempt=attempt)

    async def fence(call: Planned) -> None:
        await asyncio.sleep(dice.uniform(0, 1))
        await crew.fence(call)

    deliveries = [deliver(attempt) for attempt in range(1, dice.choice([2, 2, 3, 4]))]
    await asyncio.gather(*deliveries, *(fence(call) for call in calls if dice.random() < 0.3))


async def lives(settings: WorkerSettings, sql: asyncpg.Connection, seed: int, messages: int) -> Counter[str]:
    """Many messages' lives at once on a troubled database, then a fence and a late delivery for each call."""
    async with crewed(settings, sql, seed) as crew:
        of_method: dict[str, list[Planned]] = defaultdict(list)
        for _ in range(messages * 2):
            call = crew.planned()
            of_method[call.method].append(call)
        together = [calls[n : n + size] for calls in of_method.values() for n, size in chunks(crew.dice, len(calls))]
        locker = await asyncpg.connect(settings.postgres_url.get_secret_value())
        troubles = [
            asyncio.ensure_future(hold_rows(locker, crew.dice)),
            asyncio.ensure_future(lose_answers(crew.proxies, crew.dice)),
        ]
        await asyncio.gather(*(one_life(crew, calls) for calls in together))
        for trouble in troubles:
            trouble.cancel()
        await asyncio.wait(troubles)
        await locker.close()
        calls = [call for calls in together for call in calls]
        await asyncio.gather(*(crew.fence(call) for call in calls))
        await asyncio.gather(*(crew.deliver([call], arriving(again=True), left_s=5, attempt=9) for call in calls))
        return await check(crew, calls, sql)


def chunks(dice: random.Random, length: int) -> list[tuple[int, int]]:
    """Places and sizes of messages that hold so many calls in all."""
    cut, n = [], 0
    while n < length:
        size = dice.choice([1, 1, 2, 4])
        cut.append((n, size))
        n += size
    return cut


async def test_whatever_is_delivered_when_what_is_told_is_what_the_tables_hold(settings, sql):
    came_to = await lives(settings, sql, random.randrange(1 << 32), 150)

    assert set(came_to) == {"done", "failed", "fenced"}


@pytest.mark.heavy
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(40))
async def test_so_it_is_whatever_the_dice_say(settings, sql, seed):
    assert await lives(settings, sql, seed, 400)


async def test_a_thousand_races_of_a_time_out_against_a_fence_are_each_decided_once(settings, sql):
    async with crewed(settings, sql, random.randrange(1 << 32)) as crew:
        lanes = asyncio.Semaphore(32)

        async def race() -> Planned:
            request_id = uuid7()
            account = f"a-{crew.dice.randrange(ACCOUNTS)}"
            call = Planned(
                request_id, "accounts.deposit", {"account_id": account, "amount": 1, "note": str(request_id)}
            )
            async with lanes:
                patience_s = crew.dice.uniform(0, crew.dice.choice(PATIENCE_S))
                running = asyncio.ensure_future(crew.deliver([call], arriving(), left_s=patience_s + 0.01))
                await asyncio.sleep(patience_s)
                await crew.fence(call)
                await running
            return call

        calls = await asyncio.gather(*(race() for _ in range(1000)))
        came_to = await check(crew, calls, sql)

    assert set(came_to) == {"done", "fenced"}
