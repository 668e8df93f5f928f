"""docs/dead-letters.md by situation, from the call that fails to its end, by the command line."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from uuid import uuid4

import asyncpg
import orjson
import pytest

from rpc_client import AsyncClient, InternalError
from rpc_client.wire import encode_call
from tests.acceptance.broker import connected_peer
from tests.acceptance.test_cli import Ran, Rowcall
from tests.conftest import NAMED
from tests.processes import StartWorker
from tests.proxy import proxied
from tests.services.desk_given import deposit, lay
from worker.desk import Desk, Filter, Letter
from worker.settings import WorkerSettings


@pytest.fixture
def settings(settings: WorkerSettings) -> WorkerSettings:
    return settings.model_copy(update={"families": [*NAMED, "tests.services.fragile:family"]})


@pytest.fixture
def rowcall(settings: WorkerSettings, tmp_path: Path) -> Rowcall:
    return Rowcall(settings, tmp_path)


async def arrived(settings: WorkerSettings, count: int = 1) -> list[Letter]:
    """Wait until a worker has brought so many letters; oldest first."""
    async with Desk(settings) as desk:
        while len(found := await desk.list(Filter())) < count:
            await asyncio.sleep(0.02)
    return list(reversed(found))


async def replayed(rowcall: Rowcall, *words: str) -> tuple[Ran, dict]:
    ran = await rowcall("dead-letters", "replay", *words, "--json")
    return ran, json.loads(ran.out)


async def noted(sql: asyncpg.Connection) -> dict[str, int]:
    rows = await sql.fetch("select key, count(*) as times from fragile.noted group by key")
    return {row["key"]: row["times"] for row in rows}


@pytest.mark.timeout(180)  # six programs start, one after the other
async def test_a_bug_was_fixed(rowcall: Rowcall, settings, worker, client: AsyncClient, sql):
    await sql.execute("insert into fragile.bugs (kind) values ('look_up')")
    for n in range(3):
        with pytest.raises(InternalError):
            await client.call_by_name("fragile.work", "write", {"key": f"k-{n}", "kind": "look_up"})
    first, *_ = await arrived(settings, 3)

    groups = await rowcall("dead-letters", "list", "--group")
    shown = await rowcall("dead-letters", "show", str(first.number))
    before = await rowcall("dead-letters", "replay", "--method", "fragile.*", "--rehearse")
    await sql.execute("delete from fragile.bugs")
    rehearsed = await rowcall("dead-letters", "replay", "--method", "fragile.*", "--rehearse")
    untouched = await noted(sql)
    done = await rowcall("dead-letters", "replay", "--method", "fragile.*", "--canary", "1")
    again = await rowcall("dead-letters", "replay", str(first.number))

    assert [line for line in groups.out.splitlines() if "KeyError" in line and " 3 " in line] != []
    assert "in look_up" in shown.out
    assert '"key": "k-0"' in shown.out
    assert (before.code, rehearsed.code, untouched) == (1, 0, {})
    assert "KeyError" in before.out
    assert (done.code, done.out.splitlines()[-1]) == (0, "3 done")
    assert (again.code, again.out.splitlines()[-1]) == (0, "nothing was sent")
    assert await noted(sql) == {"k-0": 1, "k-1": 1, "k-2": 1}


async def test_the_database_was_away(rowcall: Rowcall, settings, start_worker: StartWorker, sql):
    async with proxied(settings.postgres_url.get_secret_value()) as (proxy, url):
        worker = await start_worker(ROWCALL_POSTGRES_URL=url)
        async with connected_peer(settings) as peer:
            proxy.refuse()
            late = encode_call(
                str(uuid4()), "fragile.work", b'{"key":"k-1","kind":""}', int(time.time() * 1000) + 500, 1
            )
            await peer.send(late, "write.fragile.work", reply_to=None)  # nobody waits for it, so nobody is told
            while "cannot be kept" not in (log := worker.log.read_text()) and "wait in their queue" not in log:
                await asyncio.sleep(0.02)
            proxy.refuse(0)
        (letter,) = await arrived(settings)

        ran, report = await replayed(rowcall, "--reason", "exhausted", "--rate", "50")

    assert letter.reason == "exhausted"
    assert (ran.code, report["outcomes"]) == (0, {"done": 1})
    assert await noted(sql) == {"k-1": 1}


@pytest.mark.heavy
async def test_a_poison_message(rowcall: Rowcall, settings, start_worker: StartWorker, sql):
    await (await start_worker()).stop()
    async with connected_peer(settings) as peer:
        line = encode_call(str(uuid4()), "fragile.work", b'{"key":"k-1","kind":""}', int((time.time() + 100) * 1000), 1)
        await peer.send(line, "write.fragile.work")
        queue = await peer.channel.get_queue(peer.names.queue("write"))
        while (message := await queue.get(fail=False)) is not None:  # each time, as if a worker died of it
            await message.nack(requeue=True)
    await start_worker()
    (letter,) = await arrived(settings)

    listed = await rowcall("dead-letters", "list", "--reason", "poison", "--json")
    test = await rowcall("dead-letters", "export", str(letter.number), "--pytest", "test_poison.py")
    discarded = await rowcall("dead-letters", "discard", str(letter.number), "--why", "kills its worker")
    kept = await rowcall("dead-letters", "show", str(letter.number), "--json")

    assert [found["number"] for found in json.loads(listed.out)] == [letter.number]
    assert (test.code, discarded.out) == (0, "1 discarded\n")
    assert json.loads(kept.out)["letter"]["state"] == "discarded"
    assert json.loads(kept.out)["deeds"][-1]["details"] == {"why": "kills its worker"}
    assert await noted(sql) == {}


@pytest.mark.heavy
async def test_a_wrong_argument(rowcall: Rowcall, settings, worker, client: AsyncClient, sql):
    await client.call_by_name("accounts.open_account", "write", {"account_id": "a-1", "owner": "Ada"})
    async with connected_peer(settings) as peer:
        line = orjson.dumps({"method": "accounts.deposit", "args": {"account_id": "a-1", "amount": "500"}})
        await peer.send(line, "write.accounts.deposit", reply_to=None)
    (letter,) = await arrived(settings)
    number = str(letter.number)

    planned = await rowcall("dead-letters", "replay", number, "--dry-run")
    refused = await rowcall("dead-letters", "replay", number, "--set", "amount=-5")
    ran, report = await replayed(rowcall, number, "--set", "amount=500")

    assert "misfit" in planned.out
    assert "argument 'amount'" in planned.out
    assert (refused.code, "greater than 0" in refused.err) == (1, True)
    assert (ran.code, report["outcomes"]) == (0, {"done": 1})
    assert await sql.fetchval("select balance from accounts.accounts") == 500
    assert (await arrived(settings, 2))[0].state == "replaced"


IMPOSSIBLE = [
    (("show", "17"), 1, "there is no dead letter 17"),
    (("replay",), 1, "say which: numbers, filters, or --all"),
    (("replay", "--all"), 0, "No letter fits."),
    (("replay", "1", "2", "--set", "amount=5"), 1, "--set changes one letter"),
    (("list", "--older-than", "yesterday"), 2, "write 90s, 15m, 2h or 7d"),
    (("export", "--pytest", "x.py"), 1, "--pytest takes one letter"),
    (("import", "nowhere.jsonl"), 1, "nowhere.jsonl"),
]


async def test_what_cannot_be_done_is_said_in_a_line(rowcall: Rowcall):
    ran = await asyncio.gather(*(rowcall("dead-letters", *words) for words, _, _ in IMPOSSIBLE))

    for found, (words, code, said) in zip(ran, IMPOSSIBLE, strict=True):
        assert (found.code, said in found.out + found.err) == (code, True), (words, found)
        assert "Traceback" not in found.err


async def test_many_are_not_touched_without_a_yes(rowcall: Rowcall, settings):
    await lay(settings, *(deposit() for _ in range(101)))

    asked = await rowcall("dead-letters", "discard", "--all")
    told = await rowcall("dead-letters", "discard", "--all", "--yes")

    assert (asked.code, "Discard 101 letters?" in asked.err) == (1, True)
    assert (told.code, told.out) == (0, "101 discarded\n")


async def test_an_export_file_is_imported_again(rowcall: Rowcall, settings, sql, tmp_path: Path):
    await lay(settings, deposit(amount=1), deposit("a\u2028line\u0085of its own", amount=2))

    exported = await rowcall("dead-letters", "export", "--to", "letters.jsonl")
    await sql.execute("delete from rowcall.dead_letters")
    first = await rowcall("dead-letters", "import", "letters.jsonl")
    again = await rowcall("dead-letters", "import", "letters.jsonl")

    assert exported.code == 0
    assert [first.out, again.out] == ["2 added, 0 were here already\n", "0 added, 2 were here already\n"]
