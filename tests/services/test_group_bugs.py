"""Calls that run together and fail one by one: each is answered, kept and logged as if it had run alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import orjson
import pytest
from pydantic import AfterValidator, SecretStr
from structlog.testing import capture_logs

from rpc_client.contract import Secret, Service, write
from rpc_client.wire import decode_reply, encode_call
from worker.calls import Origin
from worker.fingerprint import fingerprint
from worker.keys import new_key
from worker.pipeline import Answered
from worker.registry import Family, Registry
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker

SQL = """\
-- name: keep
-- Trips over a token that is no number, and quotes it.
with kept as (
    select :token::text::integer as number
    where :key::text <> ''
),

reply as (
    select number as result, null::jsonb as error, null::jsonb as events from kept
)

select * from reply;

-- name: check
-- Is not reached.
with reply as (
    select 1 as result, null::jsonb as error, null::jsonb as events where :word::text <> ''
)

select * from reply;
"""


def judged(word: str) -> str:
    """A validator with a bug."""
    return {"good": word}[word]


class Tokens(Service, name="tokens"):
    """Methods that meet bugs."""

    @write(locks="key", emits=[])
    async def keep(self, key: str, token: Annotated[str, Secret()]) -> int:
        """Keep a number."""

    @write(locks="word", emits=[])
    async def check(self, word: Annotated[str, AfterValidator(judged)]) -> int:
        """Check a word."""


tokens = Registry(Tokens)
tokens.direct(Tokens.keep, Tokens.check)


@pytest.fixture
async def worker(postgres_url: str, settings: WorkerSettings, tmp_path: Path) -> AsyncIterator[LocalWorker]:
    (tmp_path / "tokens.sql").write_text(SQL)
    sealing = settings.model_copy(update={"encryption_keys": SecretStr(new_key())})
    async with local_worker(postgres_url, [Family(tokens, sql=tmp_path)], settings=sealing) as worker:
        yield worker


def line(method: str, **arguments: str) -> bytes:
    return encode_call(str(uuid4()), method, orjson.dumps(arguments), int((time.time() + 10) * 1000), 1)


async def answered(worker: LocalWorker, lines: list[bytes], *, reply_to: str | None = "tests") -> Answered:
    method = orjson.loads(lines[0])["method"]
    origin = Origin("tests", reply_to, None, None, redelivered=False)
    return await worker.pipeline.answer(b"\n".join(lines), origin, f"write.{method}")


async def test_the_bug_of_one_call_tells_nothing_of_another(worker: LocalWorker):
    lines = [line("tokens.keep", key=f"k-{n}", token=f"hush-{n}") for n in range(4)]

    with capture_logs() as logs:
        whole = await answered(worker, lines)

    assert [decode_reply(reply)["error"] for reply in whole.replies] == ["InternalError"] * 4
    assert [letter.body for letter in whole.dead] == lines
    assert "hush" not in str([(letter.error, letter.traceback) for letter in whole.dead])
    assert "hush" not in str([entry for entry in logs if entry["event"] == "a bug"])


async def test_a_bug_is_one_cause_however_many_meet_it_together(worker: LocalWorker):
    together = await answered(worker, [line("tokens.keep", key=f"k-{n}", token=f"hush-{n}") for n in range(4)])
    alone = await answered(worker, [line("tokens.keep", key="k-1", token="hush-1")])

    causes = {fingerprint("tokens.keep", d.error, d.traceback) for d in [*together.dead, *alone.dead]}

    assert len(causes) == 1


@pytest.mark.parametrize("reply_to", ["tests", None])
async def test_a_bug_in_a_validator_is_answered_and_its_write_is_kept(worker: LocalWorker, reply_to: str | None):
    sent = line("tokens.check", word="bad")

    whole = await answered(worker, [sent], reply_to=reply_to)

    assert decode_reply(whole.replies[0])["error"] == "InternalError"
    assert [(letter.reason, letter.body) for letter in whole.dead] == [("internal", sent)]
