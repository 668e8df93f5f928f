"""Which calls become dead letters, under which reason, and what is said of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
import structlog
from pamqp import encode
from pydantic import SecretStr

from accounts.services import family as accounts_family
from rpc_client.wire import encode_call
from tests.acceptance.vault import family as vault_family
from tests.proxy import proxied
from worker.calls import Origin
from worker.dead_letters import DeadLetter, error_text, traceback_text
from worker.keys import new_key
from worker.pipeline import Answered
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker

TOLD, UNTOLD = "replies", None
FRAME = 128 << 10
"""The bytes of a frame, into which all headers of a message must fit."""


def call(method: str, arguments: dict[str, Any], *, left_s: float = 10, attempt: int = 1) -> bytes:
    return encode_call(str(uuid4()), method, orjson.dumps(arguments), int((time.time() + left_s) * 1000), attempt)


def deposit(amount: int = 5, **more: Any) -> bytes:
    return call("accounts.deposit", {"account_id": "a-1", "amount": amount}, **more)


async def answer(worker: LocalWorker, line: bytes, reply_to: str | None, **marks: Any) -> Answered:
    origin = Origin("tests", reply_to, None, None, redelivered=False, **marks)
    return await worker.pipeline.answer(line, origin, f"write.{orjson.loads(line)['method']}")


def kept(answered: Answered) -> list[tuple[str, bytes, str | None]]:
    return [(letter.reason, letter.body, letter.id) for letter in answered.dead]


@pytest.fixture
async def vault(settings: WorkerSettings, postgres_url: str) -> AsyncIterator[LocalWorker]:
    sealing = settings.model_copy(update={"encryption_keys": SecretStr(new_key())})
    async with local_worker(postgres_url, [vault_family], settings=sealing) as worker:
        yield worker


@pytest.mark.parametrize("reply_to", [TOLD, UNTOLD], ids=["told", "untold"])
async def test_a_bug_is_internal(local: LocalWorker, sql, reply_to):
    await sql.execute("alter table accounts.entries alter column balance type boolean using balance > 0")
    line = deposit()

    answered = await answer(local, line, reply_to)

    assert kept(answered) == [("internal", line, orjson.loads(line)["id"])]
    assert answered.dead[0].error.startswith("DatatypeMismatchError: ")
    assert "answers.py" in answered.dead[0].traceback


@pytest.mark.parametrize("reply_to", [TOLD, UNTOLD], ids=["told", "untold"])
async def test_a_write_of_which_nobody_could_learn_whether_it_ran_is_exhausted(settings: WorkerSettings, reply_to):
    async with (
        proxied(settings.postgres_url.get_secret_value()) as (proxy, url),
        local_worker(url, [accounts_family], settings=settings) as worker,
    ):
        proxy.refuse()
        line = deposit(left_s=0.6)

        answered = await answer(worker, line, reply_to)

    assert kept(answered) == [("exhausted", line, orjson.loads(line)["id"])]


async def test_a_write_that_no_connection_came_free_for_is_exhausted_where_nobody_is_told(settings, postgres_url):
    scarce = settings.model_copy(update={"pool_size": 1, "acquire_s": 0.05})
    line = deposit()
    async with (
        local_worker(postgres_url, [accounts_family], settings=scarce) as worker,
        worker.database.connection(1),
    ):
        told, untold = await answer(worker, line, TOLD), await answer(worker, line, UNTOLD)

    assert kept(told) == []
    assert [reason for reason, _, _ in kept(untold)] == ["exhausted"]


@pytest.mark.parametrize(
    ("line", "reason"), [(deposit(left_s=-1), "expired"), (deposit(-1), "malformed")], ids=["late", "wrong"]
)
async def test_what_did_not_run_is_kept_only_where_nobody_is_told(local: LocalWorker, line, reason):
    told, untold = await answer(local, line, TOLD), await answer(local, line, UNTOLD)

    assert kept(told) == []
    assert [(letter.reason, letter.body) for letter in untold.dead] == [(reason, line)]


async def test_a_result_and_a_refusal_that_stands_in_the_contract_leave_no_letter(local: LocalWorker):
    opened = call("accounts.open_account", {"account_id": "a-1", "owner": "me"})
    withdrawn = call("accounts.withdraw", {"account_id": "a-1", "amount": 5})

    assert kept(await answer(local, opened, UNTOLD)) == []
    assert kept(await answer(local, withdrawn, UNTOLD)) == []


async def test_the_log_tells_where_a_bug_was_and_no_secret(vault: LocalWorker):
    line = call("vault.log_in", {"login": {"user": "ada", "password": "hunter2-hunter2"}, "token": "t0ken-t0ken"})

    with structlog.testing.capture_logs() as lines:
        answered = await answer(vault, line, TOLD)
    (bug,) = [line for line in lines if line["event"] == "a bug"]

    assert "log_in" in bug["exception"]
    assert bug["exception"] == answered.dead[0].traceback
    seen = f"{lines} {answered.replies} {answered.dead[0].error} {answered.dead[0].traceback}"
    assert "hunter2" not in seen
    assert "t0ken" not in seen


async def test_where_a_secret_is_too_short_to_be_told_from_other_text_the_words_are_withheld(vault: LocalWorker):
    line = call("vault.log_in", {"login": {"user": "ada", "password": "in"}, "token": "t0ken-t0ken"})

    answered = await answer(vault, line, TOLD)

    assert answered.dead[0].error.startswith("RuntimeError: (withheld")
    assert "in" not in answered.dead[0].traceback.replace("withheld: a secret of this call is too short", "")


def test_a_letter_s_headers_fit_into_a_frame_and_can_be_written_whatever_was_said():
    error = ValueError("\ud800\0é" * 20_000)
    letter = DeadLetter(b"", "internal", error_text(error), traceback_text(error))

    table = encode.field_table({**letter.headers(first_at=datetime.now(UTC), worker="here:1")})

    assert len(table) < FRAME / 2
