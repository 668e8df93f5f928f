"""A worker dies at one point of one call's way, and another takes over: how that is staged, and how it is judged.

What is judged is the ledger, whose notes are the request ids: receipts are what is to be proved.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from pydantic import SecretStr
from uuid_utils import uuid7

from accounts import AsyncAccounts
from rpc_client import AsyncClient, ClientSettings, InternalError
from tests.conftest import FAMILIES, RUN, connected
from tests.processes import StartWorker, WorkerProcess, workers
from tests.record import committed, complete, recorded
from worker.desk import Desk, Filter
from worker.settings import WorkerSettings
from worker.testing import scratch_database

WAYS = ("redelivery", "retry", "replay")
"""How a call comes to the worker that takes over: the broker sends it again, its caller does too, an operator did."""
OPENING = 1000
ACCOUNTS = [f"a-{n}" for n in range(5)]
PATIENCE_S = 100
"""For everything that is waited for: how soon it comes is not what these tests are about."""
LIFE_S = 250
"""A call lives longer than any test waits."""
WAITS = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

# PostgreSQL does in one go what follows a statement's arrival. A trigger stops it where a case wants it: when the
# receipt is about to be written, after the effect, or when the transaction is about to commit.
GATE = """
create function public.wait_at_gate() returns trigger language plpgsql as $$
begin
    -- Or the session would notice at the gate that its worker is dead, and give up.
    perform set_config('client_connection_check_interval', '0', true);
    perform pg_advisory_xact_lock_shared(77);
    return new;
end $$;
"""
GATES = {
    "receipt": "create trigger gate before insert on rowcall.receipts for each row execute function wait_at_gate()",
    "commit": (
        "create constraint trigger gate after insert on rowcall.receipts deferrable initially deferred"
        " for each row execute function wait_at_gate()"
    ),
}
CLOSED_AT = {
    ("statement", "K4"): "receipt",
    ("statement", "K5"): "commit",
    ("group", "K4"): "receipt",
    ("group", "K5"): "commit",
    ("story", "K6"): "commit",
}
"""Where PostgreSQL still is with what the dead worker sent, when another worker has the same call in hand."""
BUG = """
create function public.trip() returns trigger language plpgsql as $$ begin raise exception 'a bug'; end $$;
create trigger bug before insert on accounts.entries for each row execute function trip()
"""


@dataclass(frozen=True)
class Work:
    """One call that shall happen once: its id is the note of what it books."""

    method: str
    arguments: dict[str, Any]
    id: UUID = field(default_factory=lambda: UUID(str(uuid7())))

    async def ask(self, client: AsyncClient) -> int:
        accounts = AsyncAccounts(client.with_options(request_id=self.id, timeout_s=LIFE_S))
        return await getattr(accounts, self.method)(**self.arguments, note=str(self.id))

    @property
    def bookings(self) -> list[tuple[str, int]]:
        """What it changes: which account by how much."""
        amount = self.arguments["amount"]
        if self.method == "transfer":
            return [(self.arguments["source_id"], -amount), (self.arguments["target_id"], amount)]
        return [(self.arguments["account_id"], -amount if self.method == "withdraw" else amount)]


def work_of(kind: str) -> list[Work]:
    """A write of one statement; a story; 64 writes that run together."""
    if kind == "statement":
        return [Work("withdraw", {"account_id": "a-1", "amount": 7})]
    if kind == "story":
        return [Work("transfer", {"source_id": "a-1", "target_id": "a-2", "amount": 7})]
    return [Work("deposit", {"account_id": ACCOUNTS[n % 5], "amount": n + 1}) for n in range(64)]


@dataclass(frozen=True)
class Case:
    """Where a worker dies, of what, and how the call comes back."""

    point: str
    kind: str
    way: str

    @property
    def gate(self) -> str | None:
        return CLOSED_AT.get((self.kind, self.point))

    def __str__(self) -> str:
        return f"{self.point}-{self.kind}-{self.way}"


@dataclass
class Scene:
    """One case's own database and names."""

    case: Case
    settings: WorkerSettings
    sql: asyncpg.Connection
    start: StartWorker
    client: AsyncClient
    work: list[Work]

    async def play(self) -> None:
        """Let a worker die, another take over, and everybody hear what became of it. Raises what is wrong then."""
        replaying = self.case.way == "replay"
        if replaying:
            await self._meet_a_bug()
        await self._close_gate()
        victim = await self.start(
            ROWCALL_TEST_HOOKS="1", ROWCALL_CRASH_AT=self.case.point, ROWCALL_LOCK_S=str(PATIENCE_S)
        )
        asked = [asyncio.create_task(self._replay() if replaying else self._ask(self.client))]
        async with asyncio.timeout(PATIENCE_S):
            await died(victim, self.case.point)
            await self._stands_at_gate()
            if self.case.way == "retry":
                asked.append(asyncio.create_task(self._ask_anew()))
            rescuer = await self.start()
            await self._open_gate()
            heard = await asyncio.gather(*asked)
        assert rescuer.process.returncode is None
        await self._judge(heard)

    async def _ask(self, client: AsyncClient) -> dict[str, int]:
        return dict(zip([str(work.id) for work in self.work], await gathered(self.work, client), strict=True))

    async def _ask_anew(self) -> dict[str, int]:
        """As a caller does that has lost patience, or was started again: from elsewhere, under the same ids."""
        async with AsyncClient(ClientSettings.model_validate(self.settings.model_dump())) as client:
            return await self._ask(client)

    async def _meet_a_bug(self) -> None:
        """Let every call become a dead letter, and mend what it met."""
        await self.sql.execute(BUG)
        worker = await self.start()
        answers = await gathered(self.work, self.client, return_exceptions=True)
        assert {type(answer) for answer in answers} == {InternalError}
        async with asyncio.timeout(PATIENCE_S):
            while await self.sql.fetchval("select count(*) from rowcall.dead_letters") < len(self.work):
                await asyncio.sleep(0.02)
        assert await worker.stop() == 0
        await self.sql.execute("drop trigger bug on accounts.entries")

    async def _replay(self) -> None:
        async with Desk(self.settings, families=FAMILIES, actor="ops@here") as desk:
            report = await desk.replay(Filter(), timeout_s=LIFE_S)
        assert (report.stopped, report.outcomes) == (None, {"done": len(self.work)})

    async def _close_gate(self) -> None:
        if self.case.gate is not None:
            await self.sql.execute(GATE + GATES[self.case.gate])
            await self.sql.execute("select pg_advisory_lock(77)")

    async def _stands_at_gate(self) -> None:
        """Wait until PostgreSQL is with the dead worker's call where the case wants it."""
        if self.case.gate is not None:
            await self._wait_for(f"{WAITS} and wait_event = 'advisory'")
        elif self.case.point == "K6":  # the whole of it was sent; it commits with nobody there to hear it
            await self._wait_for("select count(*) from rowcall.receipts")

    async def _open_gate(self) -> None:
        """Let the dead worker's call commit, once another worker has it in hand and waits for the same rows."""
        if self.case.gate is not None:
            await self._wait_for(f"{WAITS} and wait_event <> 'advisory'")
            await self.sql.execute("select pg_advisory_unlock(77)")

    async def _wait_for(self, count: str) -> None:
        while await self.sql.fetchval(count) == 0:
            await asyncio.sleep(0.02)

    async def _judge(self, heard: list[dict[str, int] | None]) -> None:
        """Each effect once, money conserved, every answer what stands, every event once in the record."""
        ledger = await self.sql.fetch("select account_id, amount, balance, note from accounts.entries")
        booked = Counter((row["note"], row["account_id"], row["amount"]) for row in ledger)
        wanted = [(str(work.id), *booking) for work in self.work for booking in work.bookings]
        assert booked == Counter(wanted)
        balances = dict(await self.sql.fetch("select account_id, balance from accounts.accounts"))
        changes = Counter(dict.fromkeys(ACCOUNTS, OPENING))
        for row in ledger:
            changes[row["account_id"]] += row["amount"]
        assert balances == dict(changes)
        left = {row["note"]: row["balance"] for row in sorted(ledger, key=lambda row: -row["amount"])}
        stands = await self.sql.fetch("select id::text, outcome from rowcall.receipts")
        assert {row["id"]: orjson.loads("{" + row["outcome"])["result"] for row in stands} == left
        assert [answers for answers in heard if answers not in (None, left)] == []
        await complete(self.settings, self.sql, PATIENCE_S)
        record = await recorded(self.settings)
        assert record == await committed(self.sql)
        assert Counter(str(event["request_id"]) for event in record.values()) == Counter(note for note, *_ in wanted)
        states = await self.sql.fetch("select distinct state, outcome from rowcall.dead_letters")
        assert [tuple(row) for row in states] == [("resolved", "done")] * (self.case.way == "replay")


async def gathered(work: list[Work], client: AsyncClient, **options: bool) -> list[Any]:
    """What each comes to; sent in one tick, so that they travel together."""
    return await asyncio.gather(*(each.ask(client) for each in work), **options)


async def died(worker: WorkerProcess, point: str) -> None:
    """Wait until this worker has died, and see that it was there."""
    assert await worker.process.wait() == -SIGKILL, worker.log.read_text()
    assert worker.log.read_text().endswith(f"crash point {point}\n")


@contextlib.asynccontextmanager
async def scene(case: Case, base: WorkerSettings, template: str, folder: Path) -> AsyncIterator[Scene]:
    """A case's own database, with money in it, and its own prefix."""
    folder.mkdir()
    async with scratch_database(base.postgres_url.get_secret_value(), copy_of=template) as url:
        prefix = f"rowcall-test-{RUN}-{uuid4().hex[:8]}"
        settings = base.model_copy(update={"postgres_url": SecretStr(url), "prefix": prefix})
        async with (
            connected(url) as sql,
            workers(settings, folder) as start,
            AsyncClient(ClientSettings.model_validate(settings.model_dump())) as client,
        ):
            await sql.executemany(
                "insert into accounts.accounts (account_id, owner, balance) values ($1, 'me', $2)",
                [(account, OPENING) for account in ACCOUNTS],
            )
            yield Scene(case, settings, sql, start, client, work_of(case.kind))


class Stage:
    """Plays cases, some at the same time."""

    def __init__(self, base: WorkerSettings, template: str, folder: Path, at_once: int) -> None:
        self._base, self._template, self._folder = base, template, folder
        self._room = asyncio.Semaphore(at_once)

    async def play(self, cases: list[Case]) -> None:
        """All of them to their end, whatever becomes of one: each has to clean up."""
        plays = [self._play(case, self._folder / f"{number}-{case}") for number, case in enumerate(cases)]
        ends = await asyncio.gather(*plays, return_exceptions=True)
        if errors := [end for end in ends if isinstance(end, Exception)]:
            raise ExceptionGroup("cases that ended otherwise", errors)

    async def _play(self, case: Case, folder: Path) -> None:
        async with self._room:
            try:
                async with scene(case, self._base, self._template, folder) as played:
                    await played.play()
            except Exception as error:
                error.add_note(f"in the case {case}; the logs are in {folder}")
                raise
