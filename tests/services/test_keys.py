"""What seals dead letters, what opens them, and how the keys are changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from rpc_client.errors import Unavailable
from tests.acceptance.test_cli import Rowcall
from tests.services.test_store import AT, LETTER
from worker.database import Database
from worker.desk.rotation import Rotated, rotate
from worker.desk.store import KeptLetter, keep
from worker.keys import KeyRing, KeysError, StrictKeyRing, UnreadableError, key_ring, new_key, row_place
from worker.served import Served
from worker.settings import WorkerSettings

OLD, NEW, LOST = new_key(), new_key(), new_key()


def test_what_one_key_sealed_opens_with_every_ring_that_holds_it_and_nowhere_else():
    sealed = KeyRing([OLD]).seal(b"call", place="letter/1")

    assert KeyRing([NEW, OLD]).unseal(sealed, place="letter/1") == b"call"
    for ring, place in [(KeyRing([NEW]), "letter/1"), (KeyRing([]), "letter/1"), (KeyRing([OLD]), "letter/2")]:
        with pytest.raises(UnreadableError):
            ring.unseal(sealed, place=place)


def test_what_was_kept_in_the_clear_is_read_with_or_without_keys_and_sealed_when_it_is_renewed():
    clear = KeyRing([]).seal(b"call", place="queue")

    assert clear.startswith(b"clear:")
    assert KeyRing([]).unseal(clear, place="queue") == KeyRing([NEW]).unseal(clear, place="queue") == b"call"
    assert b"call" not in KeyRing([NEW]).renewed(clear, place="queue")


def test_what_families_keep_is_neither_sealed_without_a_key_nor_believed_in_the_clear():
    clear, sealed = KeyRing([]).seal(b"forged", place="place/1"), StrictKeyRing([OLD]).seal(b"mine", place="place/1")

    assert StrictKeyRing([NEW, OLD]).unseal(sealed, place="place/1") == b"mine"
    with pytest.raises(UnreadableError):
        StrictKeyRing([NEW]).unseal(clear, place="place/1")
    for use, data in [(StrictKeyRing([]).seal, b"mine"), (StrictKeyRing([]).unseal, sealed)]:
        with pytest.raises(Unavailable, match="set ROWCALL_ENCRYPTION_KEYS") as told:
            use(data, place="place/1")
        assert told.value.details == {"reason": "no_key"}


@pytest.mark.parametrize(
    "keys",
    ["secret", f"{OLD},secret", f"secret,{OLD}", OLD[:-2]],
    ids=["alone", "behind a key", "before a key", "cut off"],
)
def test_what_is_no_key_is_refused_by_its_place_and_not_repeated(keys: str):
    with pytest.raises(KeysError, match=r"place \d of \d") as caught:
        key_ring(WorkerSettings(encryption_keys=keys))

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_blanks_and_commas_too_many_are_no_keys():
    assert key_ring(WorkerSettings(encryption_keys=f" {NEW} , {OLD},, ")).seals
    assert not key_ring(WorkerSettings(encryption_keys=" , ")).seals


@pytest.fixture
async def database(settings: WorkerSettings) -> AsyncIterator[Database]:
    async with Database(settings) as database:
        yield database


async def fill(sql: asyncpg.Connection, served: Served, number: int, *keys: str) -> list[KeptLetter]:
    """So many letters, kept by a worker with these keys."""
    letters = [replace(LETTER, id=str(uuid4()), body=b"call %d" % n) for n in range(number)]
    await keep(sql, served.statements, KeyRing(keys), letters)
    return letters


async def opened(sql: asyncpg.Connection, *keys: str) -> dict[str, bytes]:
    """What these keys open, by the letters' ids."""
    rows = await sql.fetch("select id, body from rowcall.dead_letters")
    return {str(row["id"]): KeyRing(keys).unseal(row["body"], place=f"letter/{row['id']}") for row in rows}


async def rotated(database: Database, served: Served, *keys: str) -> Rotated:
    return await rotate(database, served.statements, KeyRing(keys), progress=print)


async def test_afterwards_the_newest_key_opens_every_letter(database, sql, served):
    letters = [*await fill(sql, served, 30, OLD), *await fill(sql, served, 15), *await fill(sql, served, 5, NEW, OLD)]

    first, again = await rotated(database, served, NEW, OLD), await rotated(database, served, NEW, OLD)

    assert (first.sealed, first.already, again.sealed, again.already) == (45, 5, 0, 50)
    assert await opened(sql, NEW) == {letter.id: letter.body for letter in letters}


async def test_a_letter_that_no_key_opens_is_named_and_left_as_it_is(database, sql, served):
    await fill(sql, served, 1, LOST)
    before = await sql.fetch("select * from rowcall.dead_letters")
    await fill(sql, served, 1, OLD)

    result = await rotated(database, served, NEW, OLD)

    assert (result.sealed, result.unreadable) == (1, [before[0]["number"]])
    assert await sql.fetch("select * from rowcall.dead_letters where number = $1", before[0]["number"]) == before


async def test_a_rotation_that_broke_off_is_ended_by_the_next(database, sql, served):
    letters = await fill(sql, served, 60, OLD)

    def break_off(number: int, last: int) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await rotate(database, served.statements, KeyRing([NEW, OLD]), progress=break_off)
    rest = await rotated(database, served, NEW, OLD)

    assert 0 < rest.already < 60
    assert await opened(sql, NEW) == {letter.id: letter.body for letter in letters}


async def test_while_workers_keep_and_renew_letters_none_is_lost(database, sql, served, postgres_url):
    letters = await fill(sql, served, 200, OLD)
    more: list[KeptLetter] = []

    async def work() -> None:
        """A worker that has not heard of the new key."""
        connection = await asyncpg.connect(postgres_url)
        for n, letter in enumerate(letters[::2]):
            more.append(replace(LETTER, id=str(uuid4()), body=b"more %d" % n))
            renewed = replace(letter, traceback=f"again {n}", last_at=AT + timedelta(hours=1))
            await keep(connection, served.statements, KeyRing([OLD]), [renewed, more[-1]])
        await connection.close()

    await asyncio.gather(work(), rotated(database, served, NEW, OLD))
    last = await rotated(database, served, NEW, OLD)

    assert last.unreadable == []
    assert await opened(sql, NEW) == {letter.id: letter.body for letter in [*letters, *more]}
    tracebacks = await sql.fetch("select id, traceback from rowcall.dead_letters where attempts = 2")
    assert len(tracebacks) == 100
    for row in tracebacks:
        assert KeyRing([NEW]).unseal(row["traceback"], place=f"traceback/{row['id']}").startswith(b"again")


async def test_the_command_prints_a_key_rotates_and_names_what_it_cannot_open(settings, sql, served, tmp_path: Path):
    rowcall = Rowcall(settings, tmp_path)
    await fill(sql, served, 3, OLD)
    await fill(sql, served, 1, LOST)
    for user_id, held in (("u-1", OLD), ("u-2", LOST)):
        sealed = StrictKeyRing([held]).seal(b"{}", place=row_place("user_integrations", user_id)).decode()
        await sql.execute("insert into platform.users (id, email) values ($1, $1)", user_id)
        await sql.execute("insert into platform.user_integrations values ($1, $2)", user_id, sealed)

    key = (await rowcall("keys", "new")).out.strip()
    without = await rowcall("keys", "rotate")
    ran = await rowcall("keys", "rotate", ROWCALL_ENCRYPTION_KEYS=f"{key},{OLD}")
    whole = await rowcall("keys", "rotate", ROWCALL_ENCRYPTION_KEYS=f"{key},{LOST}")

    assert (without.code, "`rowcall keys new` makes one" in without.err) == (1, True)
    assert (ran.code, ran.out.splitlines()) == (
        1,
        [
            "dead letters: 3 sealed anew, 0 were sealed with the newest key already",
            "platform.user_integrations: 1 sealed anew, 0 were sealed with the newest key already",
            "platform.user_metadata: 0 sealed anew, 0 were sealed with the newest key already",
        ],
    )
    assert "dead letters: no key opens 1 of them, and they are left as they were: 4" in ran.err
    assert "platform.user_integrations: no key opens 1 of them, and they are left as they were: u-2" in ran.err
    assert whole.code == 0
    assert whole.out.startswith("dead letters: 1 sealed anew, 3 were sealed with the newest key already\n")
    deeds = await sql.fetch("select action, (details ->> 'sealed')::int from rowcall.audit order by number")
    assert deeds == [("rotate", sealed) for sealed in (3, 1, 0, 1, 1, 0)]
