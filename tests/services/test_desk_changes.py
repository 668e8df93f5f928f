"""What is changed, given up, taken out and brought back at the desk, and who is said to have done it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

import asyncpg
import orjson
import pytest
from pydantic import SecretStr

from accounts import AsyncAccounts
from rpc_client import Conflict, InvalidRequest
from rpc_client.contract import Secret, Service, write
from tests.conftest import FAMILIES, ROOT
from tests.services.desk_given import deposit, lay, letter
from tests.services.test_exactly_once import answer, balance
from tests.services.test_replayed import replay
from worker.database import Transaction
from worker.desk import Desk, DeskError, Filter
from worker.keys import new_key
from worker.registry import Family, Registry
from worker.settings import WorkerSettings
from worker.testing import LocalWorker


@pytest.fixture
async def desk(settings: WorkerSettings) -> AsyncIterator[Desk]:
    async with Desk(settings, families=FAMILIES, actor="ops@here") as desk:
        yield desk


@pytest.fixture
async def account(accounts: AsyncAccounts) -> str:
    await accounts.open_account("a-1", "me")
    return "a-1"


async def test_a_changed_letter_is_another_call_that_takes_the_place_of_the_first(desk, settings):
    (number,) = await lay(settings, letter("accounts.deposit", {"account_id": "a-1", "amount": "five"}))

    changed = await desk.change(number, {"amount": 5})

    old, new = await desk.show(number), await desk.show(changed.number)
    assert (old.letter.state, new.letter.state, new.letter.parent) == ("replaced", "open", number)
    assert new.call == {"id": str(changed.id), "method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 5}}
    assert changed.id != old.letter.id
    assert (changed.error, new.traceback) == (old.letter.error, old.traceback)
    assert [(deed.action, deed.details) for deed in old.deeds] == [
        ("change", {"by": changed.number, "changed": ["amount"]})
    ]
    (step,) = (await desk.plan(Filter(numbers=[number]))).steps
    assert (step.action, step.why) == ("replaced", f"by {changed.number}")


async def test_the_call_whose_place_was_taken_never_runs_any_more(desk, settings, pipeline, account, sql):
    kept = deposit(amount=500, caller="ada")
    (number,) = await lay(settings, kept)

    await desk.change(number, {"amount": 5})
    late = orjson.loads(await answer(pipeline, kept.body, replay("ada")))

    assert (late["error"], late["details"]["reason"]) == (Conflict.__name__, "replaced")
    assert await balance(sql, account) == 0


async def test_a_call_that_has_run_is_not_changed(desk, settings, pipeline, account, sql):
    kept = deposit(amount=500, caller="ada")
    (number,) = await lay(settings, kept)
    await answer(pipeline, kept.body, replay("ada"))

    with pytest.raises(DeskError, match="has run meanwhile"):
        await desk.change(number, {"amount": 5})

    assert await sql.fetchval("select count(*) from rowcall.dead_letters") == 1


IMPOSSIBLE = [
    ({"amount": 0}, InvalidRequest, "greater than 0"),
    ({"amonut": 5}, InvalidRequest, "no argument 'amonut'"),
    ({"note.first": "x"}, DeskError, "there is no 'note' in these arguments"),
    ({"account_id.0": "x"}, DeskError, "there is no '0'"),
]


async def test_what_no_worker_would_take_changes_nothing(desk, settings):
    (number,) = await lay(settings, deposit())

    for changes, kind, said in IMPOSSIBLE:
        with pytest.raises(kind, match=said):
            await desk.change(number, changes)

    assert [found.state for found in await desk.list(Filter())] == ["open"]


async def test_a_path_leads_through_objects_and_lists(desk, settings):
    arguments = {"user_id": "u-1", "cost": 0, "metadata": {"context": {"tags": ["a", "b"]}}}
    (number,) = await lay(settings, letter("platform.spend_credits", arguments))

    changed = await desk.change(number, {"cost": 3, "metadata.context.tags.1": "c", "metadata.node_exec_id": "n-1"})

    assert (await desk.show(changed.number)).call["args"] == {
        "user_id": "u-1",
        "cost": 3,
        "metadata": {"context": {"tags": ["a", "c"]}, "node_exec_id": "n-1"},
    }


async def test_only_letters_that_wait_are_given_up(desk, settings, sql):
    waiting, settled = await lay(settings, deposit(amount=1), deposit(amount=2))
    await sql.execute("update rowcall.dead_letters set state = 'resolved' where number = $1", settled)

    assert await desk.discard(Filter(), "not ours") == [waiting]
    assert await desk.discard(Filter(), "not ours") == []


async def test_an_export_is_read_where_the_same_key_is_and_the_same_call_is_one_row(settings, servers, migrated):
    sealed = settings.model_copy(update={"encryption_keys": SecretStr(new_key())})
    _, changed = await lay(sealed, deposit(amount=1), deposit(amount=2, age=timedelta(hours=1)))
    async with Desk(sealed, families=FAMILIES) as desk:
        await desk.change(changed, {"amount": 3})
        before = [await desk.show(number) for number in await desk.find(Filter())]
        lines = [line async for line in desk.export(Filter())]
        known = await desk.import_(lines)
        await desk._database.fetch("truncate rowcall.dead_letters", [()], timeout_s=5)

        first, again = await desk.import_(lines), await desk.import_(lines)

        after = [await desk.show(number) for number in first.added]
    assert (known.added, known.known) == ([], 3)
    assert (len(first.added), again.added, again.known) == (3, [], 3)
    assert [(shown.call, shown.traceback, shown.letter.last_at) for shown in before] == [
        (shown.call, shown.traceback, shown.letter.last_at) for shown in after
    ]


SPOILT = [
    (lambda _: "{]", "line 2: Invalid JSON"),
    (lambda line: line.replace('"internal"', '"infernal"'), "line 2: Input should be 'malformed'"),
    (lambda line: line.replace("accounts.deposit", "accounts.withdraw"), "not of the same letter"),
    (lambda line: line.replace("division", "\\u0000"), "U+0000"),
    (lambda line: orjson.dumps({**orjson.loads(line), "extra": 1}).decode(), "line 2: Extra inputs"),
]


async def test_one_bad_line_and_nothing_is_imported(desk, settings, sql):
    await lay(settings, deposit(amount=1), deposit(amount=2))
    first, second = [line async for line in desk.export(Filter())]
    await sql.execute("delete from rowcall.dead_letters")

    for spoil, said in SPOILT:
        with pytest.raises(DeskError) as caught:
            await desk.import_([first, spoil(second)])
        assert said in str(caught.value)

    assert await sql.fetchval("select count(*) from rowcall.dead_letters") == 0


async def test_what_was_sealed_with_another_key_is_not_imported(desk, settings):
    other = settings.model_copy(update={"encryption_keys": SecretStr(new_key())})
    await lay(other, deposit())
    async with Desk(other, families=FAMILIES) as theirs:
        lines = [line async for line in theirs.export(Filter())]

    with pytest.raises(DeskError, match="line 1: it is sealed, and ROWCALL_ENCRYPTION_KEYS names no key"):
        await desk.import_(lines)


class Vault(Service, name="vault"):
    """Takes a secret."""

    @write(emits=[])
    async def put(self, token: Annotated[str, Secret()], label: str) -> int:
        """Keep it."""


vault = Registry(Vault)


@vault.implements(Vault.put)
async def put(tx: Transaction, token: str, label: str) -> int:
    return 1


async def test_no_secret_is_shown_searched_exported_or_written_into_a_test(settings, tmp_path):
    family = Family(vault, sql=tmp_path)
    sealed = settings.model_copy(update={"encryption_keys": SecretStr(new_key())})
    (number,) = await lay(sealed, letter("vault.put", {"token": "t0p-s3cret", "label": "mine"}))

    async with Desk(sealed, families=[family]) as desk:
        seen = [
            str(await desk.show(number)),
            await desk.test_for(number),
            str([line async for line in desk.export(Filter())]),
            str(await desk.rehearse(Filter())),
        ]
        found = await desk.find(Filter(text="t0p-s3cret"))
        lines = [line async for line in desk.export(Filter())]

    assert [text for text in seen if "t0p-s3cret" in text] == []
    assert found == []
    assert orjson.loads(lines[0])["call"]["args"] == {"token": "***", "label": "mine"}


async def test_what_holds_secrets_and_is_not_sealed_does_not_leave(settings, tmp_path):
    await lay(settings, letter("vault.put", {"token": "t0p-s3cret", "label": "mine"}))

    async with Desk(settings, families=[Family(vault, sql=tmp_path)]) as desk:
        with pytest.raises(DeskError, match="it stays here"):
            [line async for line in desk.export(Filter())]


async def run_pytest(file: Path, settings: WorkerSettings) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", file),
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "ROWCALL_POSTGRES_URL": settings.postgres_url.get_secret_value()},
        cwd=file.parent,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode or 0, out.decode()


async def test_a_letter_s_test_fails_while_the_bug_is_there_and_passes_when_it_is_mended(settings, tmp_path):
    named = settings.model_copy(update={"families": ["tests.services.fragile:family"]})
    (number,) = await lay(named, letter("fragile.work", {"key": "k-1", "kind": "look_up"}, error='KeyError: "k-1"'))
    async with Desk(named) as desk:
        text = await desk.test_for(number)
    mended, broken = tmp_path / "test_mended.py", tmp_path / "test_broken.py"
    filled = "await worker.database.fetch(\"insert into fragile.bugs (kind) values ('look_up')\", [()], timeout_s=5)\n"
    mended.write_text(text)
    broken.write_text(text.replace('    """\n\n\nasync def replay', f'    """\n    {filled}\n\nasync def replay'))
    assert filled in broken.read_text()

    failing, passing = await run_pytest(broken, settings), await run_pytest(mended, settings)

    assert (failing[0], "KeyError: 'k-1'" in failing[1]) == (1, True), failing[1]
    assert passing[0] == 0, passing[1]


async def test_the_audit_tells_of_everything_that_was_done_and_by_whom(desk, settings, sql: asyncpg.Connection):
    first, second = await lay(settings, deposit(amount=1), deposit(amount=2))
    await desk.discard(Filter(numbers=[first]), "why not")
    await desk.change(second, {"amount": 3})
    lines = [line async for line in desk.export(Filter())]
    await desk.import_(lines)
    await desk.test_for(second)

    rows = await sql.fetch("select actor, action, letter from rowcall.audit order by number")

    assert {row["actor"] for row in rows} == {"ops@here"}
    assert [row["action"] for row in rows] == ["discard", "change", "change", "export", "import", "export"]


async def test_letters_without_an_id_are_shown_and_changed_too(desk, settings, local: LocalWorker):
    body = orjson.dumps({"method": "accounts.deposit", "args": {"account_id": "a-1", "amount": 1}})
    (number,) = await lay(settings, deposit(amount=1, body=body))

    changed = await desk.change(number, {"amount": 2})

    assert (await desk.show(number)).call["id"] is None
    assert UUID((await desk.show(changed.number)).call["id"]) == changed.id
