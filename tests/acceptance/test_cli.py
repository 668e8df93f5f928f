"""``rowcall`` as a person meets it: one clear line for everything that goes wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from dotenv import dotenv_values

from rpc_client import AsyncClient
from tests.processes import environment
from worker.servers import drop_database
from worker.settings import WorkerSettings

ROWCALL = Path(sys.executable).parent / "rowcall"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


class Rowcall:
    """Runs `rowcall` with this test's settings."""

    def __init__(self, settings: WorkerSettings, directory: Path) -> None:
        self._environment = {**environment(settings), "COLUMNS": "200", "NO_COLOR": "1"}
        self._directory = directory

    async def __call__(self, *words: str, **extra: str) -> Ran:
        process = await asyncio.create_subprocess_exec(
            ROWCALL,
            *words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environment, **extra},
            cwd=self._directory,
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        return Ran(process.returncode or 0, out.decode(), err.decode())


@pytest.fixture
def rowcall(settings: WorkerSettings, tmp_path: Path) -> Rowcall:
    return Rowcall(settings, tmp_path)


@pytest.fixture
async def account(worker, client: AsyncClient) -> str:
    await client.call_by_name("accounts.open_account", "write", {"account_id": "a-1", "owner": "me"})
    return "a-1"


async def test_a_call_prints_its_result_as_json(rowcall: Rowcall, account: str):
    ran = await rowcall("call", "accounts.deposit", f"account_id={account}", "amount=500", "--key", "first")
    again = await rowcall(
        "call", "accounts.deposit", json.dumps({"account_id": account, "amount": 500}), "--key", "first"
    )

    assert (ran.code, json.loads(ran.out)) == (0, 500)
    assert (again.code, json.loads(again.out)) == (0, 500)


WRONG = [
    (("accounts.depositt", "amount=5"), "no such method; did you mean accounts.deposit"),
    (
        ("accounts.deposit", "account_id=a-1"),
        "argument 'amount' is missing; it takes (account_id: str, amount: int",
    ),
    (("accounts.deposit", "account_id=a-1", "amount=5", "ammount=5"), "there is no argument 'ammount'; it takes"),
    (("accounts.deposit", "account_id=a-1", "amount=five"), "argument 'amount': Input should be a valid integer"),
    (("accounts.deposit", "account_id=a-1", "amount=0"), "argument 'amount': Input should be greater than 0"),
    (("accounts.deposit", "account_id=a-1", "amount"), "'amount' is not name=value"),
    (("accounts.deposit", "[1]"), "must be a JSON object"),
    (("accounts.deposit", "{1"), "not JSON"),
    (("accounts.deposit", "account_id=a-1", "amount=5", "note=@missing"), "cannot read missing"),
    (("accounts.withdraw", "account_id=a-1", "amount=5"), "balance 0 is below the amount 5 (cents)"),
    (("accounts.deposit", "account_id=nobody", "amount=5"), "there is no account 'nobody'"),
    (
        ("accounts.get_account", "account_id=a-1", "--timeout", "0.001"),
        "no reply to accounts.get_account in 0.001 s",
    ),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("wrong", [WRONG[::3], pytest.param(WRONG, marks=pytest.mark.heavy)], ids=["some", "all"])
async def test_what_goes_wrong_is_one_clear_line_and_the_next_call_succeeds(rowcall, account, worker, wrong):
    for words, said in wrong:
        ran = await rowcall("call", *words)

        assert ran.code != 0, words
        assert said in ran.err, words
        assert (ran.out, ran.err.count("\n")) == ("", 1), words
        assert worker.process.returncode is None, words

    assert (await rowcall("call", "accounts.deposit", "account_id=a-1", "amount=5")).code == 0


@pytest.mark.heavy
async def test_eight_megabytes_are_refused_with_the_limit(rowcall, account, tmp_path):
    (tmp_path / "note").write_text("x" * (8 << 20))

    ran = await rowcall("call", "accounts.deposit", "account_id=a-1", "amount=5", "note=@note")

    assert ran.code == 1
    assert "the limit is 1048576 (ROWCALL_BODY_BYTES)" in ran.err
    assert ran.err.count("\n") == 1


async def test_without_a_worker_the_line_says_to_start_one(rowcall):
    ran = await rowcall("call", "accounts.get_account", "account_id=a-1")

    assert ran.code == 1
    assert "start a worker under this prefix: rowcall worker" in ran.err


async def test_methods_are_listed_with_lane_signature_and_manual(rowcall):
    rows = json.loads((await rowcall("methods", "--json")).out)

    (deposit,) = [row for row in rows if row["name"] == "accounts.deposit"]
    assert deposit["lane"] == "write"
    assert deposit["signature"] == "(account_id: str, amount: int, note: str = '') -> int"
    assert deposit["doc"].startswith("Put `amount` in")
    assert set(rows[0]) == {"name", "lane", "signature", "doc", "emits"}
    assert "accounts.deposit" in (await rowcall("methods")).out


@pytest.mark.heavy
async def test_events_are_listed_with_the_methods_that_emit_them(rowcall):
    rows = json.loads((await rowcall("methods", "--json")).out)
    shown = (await rowcall("methods", COLUMNS="200")).out

    (transfer,) = [row for row in rows if row["name"] == "accounts.transfer"]
    withdrawn, deposited = transfer["emits"]
    assert (withdrawn["family"], withdrawn["type"], withdrawn["aggregate"]) == ("accounts", "Withdrawn", "account")
    assert deposited["doc"] == "Money was put into an account."
    assert deposited["fields"][1] == {"name": "balance", "type": "int", "doc": "Cents that are in it now."}
    assert {row["lane"] for row in rows if row["emits"]} == {"write"}
    assert re.search(r"accounts Withdrawn +account +amount: int  Cents\. +Money was taken out of an account\.", shown)


async def test_settings_are_told_with_their_source_and_without_passwords(rowcall, tmp_path):
    (tmp_path / ".env").write_text("ROWCALL_POOL_SIZE=7\nROWCALL_POSTGRES_URL=postgresql://me:secret@db/x\n")

    ran = await rowcall("config", "--json", ROWCALL_AMQP_URL="amqp://me:secret@broker/")
    config = json.loads(ran.out)

    assert config["pool_size"] == {"value": "7", "source": ".env"}
    assert config["amqp_url"] == {"value": "amqp://me:***@broker/", "source": "environment"}
    assert config["prefetch"]["source"] == "default"
    assert "secret" not in ran.out


async def test_a_secret_may_lie_in_a_file(rowcall, tmp_path):
    (tmp_path / "rowcall_encryption_note").write_text("not a setting")
    (tmp_path / "rowcall_drain_s").write_text("7")

    config = json.loads((await rowcall("config", "--json", ROWCALL_SECRETS_DIR=str(tmp_path))).out)

    assert config["drain_s"] == {"value": "7.0", "source": str(tmp_path)}


@pytest.mark.parametrize(
    ("words", "code"),
    [(("config",), 1), (("methods",), 1), (("call", "accounts.deposit"), 1), (("migrate",), 1), (("worker",), 78)],
    ids=str,
)
async def test_a_setting_that_is_none_is_named_in_one_line(rowcall, words, code):
    ran = await rowcall(*words, ROWCALL_POOL_SIZE="many")

    assert (ran.code, ran.err.count("\n"), ran.out) == (code, 1, "")
    assert "ROWCALL_POOL_SIZE: Input should be a valid integer" in ran.err


async def test_families_that_cannot_be_imported_are_told_in_one_line(rowcall):
    ran = await rowcall("methods", ROWCALL_FAMILIES="nowhere:family")

    assert (ran.code, ran.err.count("\n"), ran.out) == (1, 1, "")
    assert "the family 'nowhere:family' cannot be imported" in ran.err


async def test_migrate_says_what_it_did(rowcall, sql):
    assert "up to date" in (await rowcall("migrate")).out


@pytest.mark.parametrize("families", ["nowhere:family", "accounts.contract:Accounts"])
async def test_a_family_that_is_none_keeps_the_worker_from_starting(rowcall, families):
    ran = await rowcall("worker", ROWCALL_FAMILIES=families)

    assert ran.code == 78
    assert families in ran.err


async def test_up_writes_the_addresses_that_the_other_commands_read(rowcall, settings, servers, tmp_path):
    ran = await rowcall("up", ROWCALL_POSTGRES_URL=servers.postgres_url)
    written = dict(line.split("=", 1) for line in (tmp_path / ".rowcall" / "env").read_text().splitlines())
    database = written["ROWCALL_POSTGRES_URL"].rsplit("/", 1)[1]
    try:
        assert ran.code == 0, ran.err
        assert written["ROWCALL_PREFIX"].startswith("rowcall-")
        assert database == written["ROWCALL_PREFIX"].replace("-", "_")
        assert (await rowcall("down")).code == 0
        assert not (tmp_path / ".rowcall" / "env").exists()
        assert written["ROWCALL_ENCRYPTION_KEYS"] not in ran.out
        again = await rowcall("up", ROWCALL_POSTGRES_URL=servers.postgres_url)
        assert again.code == 0, again.err
        assert dict(dotenv_values(tmp_path / ".rowcall" / "env")) == written
    finally:
        await drop_database(servers.postgres_url, database)


async def test_a_worker_without_its_database_says_so_in_one_line(rowcall, settings):
    ran = await rowcall("worker", ROWCALL_POSTGRES_URL=settings.postgres_url.get_secret_value() + "_none")

    assert ran.code == 78
    assert "does not exist; `rowcall up` makes a database" in ran.err
    assert ran.err.count("\n") == 1


async def test_several_processes_are_kept_running_and_end_together(settings, client, tmp_path, worker):
    log = tmp_path / "supervisor.log"
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            ROWCALL, "worker", "--processes", "2", stderr=output, env=environment(settings), cwd=tmp_path
        )
    async with asyncio.timeout(30):
        while log.read_text().count('"consuming"') < 2:
            await asyncio.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    victim = int(children[0])
    assert Path(f"/proc/{victim}/cwd").samefile(tmp_path)

    os.kill(victim, 9)
    async with asyncio.timeout(30):
        while log.read_text().count('"consuming"') < 3:
            await asyncio.sleep(0.05)
    process.terminate()

    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert log.read_text().count('"stopped"') == 2


@pytest.mark.heavy
async def test_a_worker_starts_anew_when_code_changes(settings, tmp_path, worker):
    log, code = tmp_path / "reload.log", tmp_path / "family.py"
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            ROWCALL, "worker", "--reload", stderr=output, env=environment(settings), cwd=tmp_path
        )
    try:
        async with asyncio.timeout(50):
            while '"consuming"' not in log.read_text():
                await asyncio.sleep(0.05)
            code.write_text("# changed\n")
            while log.read_text().count('"consuming"') < 2:
                await asyncio.sleep(0.05)
    finally:
        process.terminate()

    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert '"code changed; starting anew"' in log.read_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2"])
async def test_health_and_readiness_are_served_where_they_are_asked_for(start_worker, settings, host):
    worker = await start_worker(ROWCALL_HTTP_PORT="0", ROWCALL_HTTP_HOST=host)
    (line,) = [json.loads(line) for line in worker.log.read_text().splitlines() if '"health"' in line]

    reader, writer = await asyncio.open_connection(host, int(line["address"][0].rsplit(":", 1)[1]))
    writer.write(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = (await asyncio.wait_for(reader.read(), 10)).decode()
    writer.close()

    assert answer.startswith("HTTP/1.1 200")
    assert json.loads(answer.partition("\r\n\r\n")[2]) == {
        "ready": True,
        "requests": "up",
        "replies": "up",
        "database": "up",
        "events": "up",
    }
