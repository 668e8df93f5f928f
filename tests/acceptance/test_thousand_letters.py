"""Many dead letters of few causes: found, grouped, rehearsed, replayed over a replayer's death; all accounted for."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import orjson
import pytest

from rpc_client import AsyncClient, InternalError
from tests.acceptance.broker import connected_peer
from tests.conftest import NAMED
from tests.processes import environment
from tests.services.test_rehearsal import checksum
from worker.desk import Desk, Filter, Report
from worker.settings import WorkerSettings

ROWCALL = Path(sys.executable).parent / "rowcall"
MENDED = ("divide", "look_up", "undeclared", "store")
BROKEN = "convert"
ERRORS = {
    "divide": "ZeroDivisionError",
    "look_up": "KeyError",
    "undeclared": "does not declare",
    "store": "NotNullViolation",
    BROKEN: "invalid literal",
    "misfit": "should be a valid string",
}
"""The six causes, and what their errors say. The last are calls that nobody waits for, so that nobody is told."""


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return settings.model_copy(update={"families": [*NAMED, "tests.services.fragile:family"]})


@pytest.fixture
async def desk(settings: WorkerSettings, worker) -> AsyncIterator[Desk]:
    async with Desk(settings, actor="ops@here") as desk:
        yield desk


@dataclass(frozen=True)
class Failed:
    """What was called in vain: keys by cause."""

    keys: dict[str, list[str]]

    @property
    def count(self) -> int:
        return sum(map(len, self.keys.values()))


async def call_in_vain(client: AsyncClient, settings: WorkerSettings, sql: asyncpg.Connection, count: int) -> Failed:
    """So many calls, of six causes in equal parts."""
    await sql.execute("insert into fragile.bugs (kind) select unnest($1::text[])", [*MENDED, BROKEN])
    causes = list(ERRORS)
    keys = {cause: [f"{cause}-{n}" for n in range(k, count, len(causes))] for k, cause in enumerate(causes)}

    async def call(cause: str, key: str) -> None:
        method = "fragile.store" if cause == "store" else "fragile.work"
        extra = {"amount": 1} if cause == "store" else {"kind": cause}
        with pytest.raises(InternalError):
            await client.with_options(timeout_s=60).call_by_name(method, "write", {"key": key, **extra})

    await asyncio.gather(*(call(cause, key) for cause in causes if cause != "misfit" for key in keys[cause]))
    async with connected_peer(settings) as peer:
        for key in keys["misfit"]:
            body = orjson.dumps({"method": "fragile.work", "args": {"key": key, "kind": 5}})
            await peer.send(body, "write.fragile.work", reply_to=None, message_id=key)
    return Failed(keys)


async def replayed(settings: WorkerSettings, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(ROWCALL, "dead-letters", "replay", "--all", "--yes", "--json", *words),
        stdout=asyncio.subprocess.PIPE,
        env=environment(settings),
    )


def predicted(rehearsed: Report) -> dict[int, str | None]:
    return {step.number: step.outcome for step in rehearsed.steps}


async def check_filters(desk: Desk, failed: Failed) -> None:
    found = {cause: await desk.find(Filter(error=text)) for cause, text in ERRORS.items()}
    assert {cause: len(numbers) for cause, numbers in found.items()} == {c: len(k) for c, k in failed.keys.items()}
    store = await desk.find(Filter(method="*.store"))
    assert store == found["store"] == await desk.find(Filter(numbers=found["store"]))
    assert await desk.find(Filter(reason="malformed")) == found["misfit"]
    assert len(await desk.find(Filter(caller="guest", reason="internal", states=["open"]))) == failed.count - len(
        failed.keys["misfit"]
    )
    assert len(await desk.find(Filter(newer_than=timedelta(hours=1)))) == failed.count
    assert await desk.find(Filter(older_than=timedelta(hours=1))) == []
    (one,) = await desk.find(Filter(text=f'"{failed.keys["store"][0]}"'))
    assert one in store
    (letter,) = await desk.list(Filter(numbers=[one]))
    assert await desk.find(Filter(id=letter.id)) == [one]
    assert await desk.find(Filter(fingerprint=letter.fingerprint)) == store


@pytest.mark.heavy
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("count", "rate"), [(120, 60), (1000, 200)], ids=["120", "1000"])
async def test_many_letters_of_six_causes_are_all_accounted_for(desk, client, settings, sql, count, rate):
    failed = await call_in_vain(client, settings, sql, count)
    while len(await desk.find(Filter())) < count:
        await asyncio.sleep(0.05)

    await check_filters(desk, failed)
    groups = await desk.groups(Filter())
    assert sorted(group.count for group in groups) == sorted(map(len, failed.keys.values()))

    await sql.execute("delete from fragile.bugs where kind <> $1", BROKEN)
    before = await checksum(sql)
    rehearsed = predicted(await desk.rehearse(Filter()))
    assert await checksum(sql) == before

    killed = await replayed(settings, "--rate", str(rate))
    while await sql.fetchval("select count(*) from rowcall.dead_letters where state = 'resolved'") < count / 6:
        await asyncio.sleep(0.01)
    killed.kill()
    await killed.wait()
    (out, _) = await (await replayed(settings, "--rate", str(rate * 5))).communicate()

    report = orjson.loads(out)
    letters = {letter.number: letter for letter in await desk.list(Filter(), limit=count)}
    right = sum(letters[number].outcome == outcome for number, outcome in rehearsed.items())
    assert (len(letters), right) == (count, pytest.approx(count, abs=count / 100))
    assert Counter(letter.state for letter in letters.values()) == {
        "resolved": sum(len(failed.keys[cause]) for cause in MENDED),
        "open": len(failed.keys[BROKEN]) + len(failed.keys["misfit"]),
    }
    assert report["stopped"] is None
    assert report["outcomes"]["InternalError"] == len(failed.keys[BROKEN])
    rows = await sql.fetch("select key, count(*) as times from fragile.noted group by key")
    assert {row["key"]: row["times"] for row in rows} == {key: 1 for cause in MENDED for key in failed.keys[cause]}
