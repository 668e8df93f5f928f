"""What is answered, and what is kept, when something is wrong on our side."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from uuid import uuid4

import orjson
import pytest

from accounts import AsyncAccounts, Deposited
from accounts.services import family as accounts_family
from rpc_client.contract import Service, read, write
from rpc_client.errors import Conflict, NotFoundError
from rpc_client.wire import decode_reply, encode_call
from tests.proxy import proxied
from worker.calls import Origin
from worker.database import Session, Transaction
from worker.pipeline import Pipeline
from worker.registry import Family, Registry
from worker.settings import WorkerSettings
from worker.testing import local_worker


def now() -> Origin:
    """A message that arrives now: nothing may run later than 300 s after its arrival."""
    return Origin("tests", "tests", None, None, redelivered=False)


class Trouble(Service, name="trouble"):
    """Methods that go wrong."""

    @read
    async def undeclared_read(self) -> int:
        """Raises what it does not declare."""

    @write(raises=[Conflict], emits=[])
    async def undeclared_write(self) -> int:
        """Raises NotFoundError, which it does not declare."""

    @write(raises=[Conflict], emits=[])
    async def odd_result(self) -> int:
        """Returns what its contract forbids."""

    @write(emits=[])
    async def undeclared_event(self) -> int:
        """Tells what it does not declare."""


trouble = Registry(Trouble)


@trouble.implements(Trouble.undeclared_read)
async def undeclared_read(db: Session) -> int:
    raise NotFoundError("secret 42")


@trouble.implements(Trouble.undeclared_write)
async def undeclared_write(tx: Transaction) -> int:
    raise NotFoundError("secret 42")


@trouble.implements(Trouble.odd_result)
async def odd_result(tx: Transaction) -> int:
    return "many"


@trouble.implements(Trouble.undeclared_event)
async def undeclared_event(tx: Transaction) -> int:
    tx.emit("secret", Deposited(amount=1, balance=1))
    return 1


def line(method: str, arguments: dict | None = None, *, left_s: float = 10) -> bytes:
    return encode_call(str(uuid4()), method, orjson.dumps(arguments or {}), int((time.time() + left_s) * 1000), 1)


@pytest.fixture
async def troubled(postgres_url: str, settings: WorkerSettings, tmp_path) -> AsyncIterator[Pipeline]:
    async with local_worker(postgres_url, [Family(trouble, sql=tmp_path)], settings=settings) as worker:
        yield worker.pipeline


@pytest.mark.parametrize("method", ["trouble.undeclared_write", "trouble.odd_result", "trouble.undeclared_event"])
async def test_a_write_s_bug_is_answered_without_its_text_and_the_call_is_kept(troubled, sql, method):
    sent = line(method)

    answered = await troubled.answer(sent, now(), f"write.{method}")
    reply = decode_reply(answered.replies[0])

    assert reply["error"] == "InternalError"
    assert "secret" not in str(reply)
    assert [(letter.reason, letter.body) for letter in answered.dead] == [("internal", sent)]
    assert await sql.fetchval("select count(*) from rowcall.receipts") == 0


async def test_a_read_s_bug_is_answered_and_nothing_is_kept(troubled):
    answered = await troubled.answer(line("trouble.undeclared_read"), now(), "read.trouble.undeclared_read")

    assert decode_reply(answered.replies[0])["error"] == "InternalError"
    assert answered.dead == []


async def test_while_the_database_is_away_a_write_waits_and_is_kept_when_its_time_is_up(settings):
    async with (
        proxied(settings.postgres_url.get_secret_value()) as (proxy, url),
        local_worker(url, [accounts_family], settings=settings) as worker,
    ):
        proxy.refuse()
        sent = line("accounts.open_account", {"account_id": "a-1", "owner": "me"}, left_s=1)

        answered = await worker.pipeline.answer(sent, now(), "write.accounts.open_account")
        reply = decode_reply(answered.replies[0])

        assert (reply["error"], "could not be looked up" in reply["message"]) == ("Unavailable", True)
        assert [(letter.reason, letter.body) for letter in answered.dead] == [("exhausted", sent)]


async def test_a_database_that_comes_back_in_time_fails_no_call(settings):
    async with (
        proxied(settings.postgres_url.get_secret_value()) as (proxy, url),
        local_worker(url, [accounts_family], settings=settings) as worker,
    ):
        proxy.refuse(connections=3)

        answered = await worker.pipeline.answer(
            line("accounts.open_account", {"account_id": "a-1", "owner": "me"}),
            now(),
            "write.accounts.open_account",
        )

        assert decode_reply(answered.replies[0])["result"]["account_id"] == "a-1"


async def test_a_write_that_committed_unheard_is_answered_and_announced_all_the_same(settings, sql):
    async with (
        proxied(settings.postgres_url.get_secret_value()) as (proxy, url),
        local_worker(url, [accounts_family], settings=settings) as worker,
    ):
        accounts = AsyncAccounts(worker.client)
        await accounts.open_account("a-1", "me")
        await accounts.deposit("a-1", 1)  # from here on a deposit is one round trip
        proxy.lose_answer()

        assert await accounts.deposit("a-1", 5) == 6

    assert [event.data.get("balance") for event in worker.events] == [None, 1, 6]
    assert await sql.fetchval("select balance from accounts.accounts") == 6
