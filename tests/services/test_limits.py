"""Every limit is a setting, and its error names both."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import orjson
import pytest
from pydantic import ValidationError

from accounts import AsyncAccounts
from rpc_client import InvalidRequest
from rpc_client.contract.platform import AgentNode, AsyncPlatform, GraphModel
from rpc_client.errors import RemoteError, ResultTooLarge, Unavailable
from tests.conftest import FAMILIES
from worker.admission import Admission
from worker.calls import Call, Origin
from worker.settings import WorkerSettings
from worker.testing import LocalWorker, local_worker

LIMITS = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
GET = "read.accounts.get_account"


class Limited:
    """A worker's pipeline under other limits, and a client of it."""

    def __init__(self, local: LocalWorker) -> None:
        self.database, self.pipeline, self.client = local.database, local.pipeline, local.client
        self.accounts = AsyncAccounts(self.client)

    async def refused(self, body: bytes) -> dict[str, object]:
        origin = Origin("tests", "tests", None, None, redelivered=False)
        (reply,) = (await self.pipeline.answer(body, origin, GET)).replies
        return orjson.loads(reply)


@pytest.fixture
def limited(settings: WorkerSettings, postgres_url: str) -> Callable[..., AsyncIterator[Limited]]:
    @asynccontextmanager
    async def under(**limits: float) -> AsyncIterator[Limited]:
        other = WorkerSettings.model_validate({**settings.model_dump(), **limits})
        async with local_worker(postgres_url, FAMILIES, settings=other) as local:
            yield Limited(local)

    return under


def names(error: RemoteError | dict, setting: str, limit: float) -> bool:
    """Whether this error says which limit it was, and how it is set."""
    message = error["message"] if isinstance(error, dict) else error.message
    details = error["details"] if isinstance(error, dict) else error.details
    return setting in message and details.get("limit") == limit


def call(**more: object) -> bytes:
    return orjson.dumps({"method": "accounts.get_account", "args": {"account_id": "a-1"}, **more})


async def test_the_body(limited):
    async with limited(body_bytes=1 << 18) as place:
        reply = await place.refused(call() + b" " * (1 << 19))

        assert names(reply, "ROWCALL_BODY_BYTES", 1 << 18)
        with pytest.raises(InvalidRequest) as caught:
            await place.accounts.get_account("x" * (1 << 19))
        assert names(caught.value, "ROWCALL_BODY_BYTES", 1 << 18)


async def test_the_depth(limited):
    async with limited(max_depth=8) as place:
        deep = await place.refused(call(args={"account_id": [[[[[[[[]]]]]]]]}))
        flat = await place.refused(call(args={"account_id": [[[[[[[]]]]]]]}))

    assert names(deep, "ROWCALL_MAX_DEPTH", 8)
    assert flat["details"]["reason"] == "invalid_argument"


async def test_the_calls_of_a_message(limited):
    async with limited(message_calls=64) as place:
        assert names(await place.refused(b"\n".join([call()] * 65)), "ROWCALL_MESSAGE_CALLS", 64)
    async with limited(message_calls=65) as place:
        origin = Origin("tests", "tests", None, None, redelivered=False)
        answered = await place.pipeline.answer(b"\n".join([call()] * 65), origin, GET)
        assert {orjson.loads(reply)["result"] for reply in answered.replies} == {None}


async def test_the_answer_of_a_read(limited):
    async with limited(read_reply_bytes=1024) as place:
        await place.accounts.open_account("a-1", "me")
        for _ in range(10):
            await place.accounts.deposit("a-1", 1, "x" * 200)

        with pytest.raises(ResultTooLarge) as caught:
            await place.accounts.list_entries("a-1")
        assert len(await place.accounts.list_entries("a-1", limit=2)) == 2
    assert names(caught.value, "ROWCALL_READ_REPLY_BYTES", 1024)


async def test_the_answer_of_a_write(limited, sql):
    async with limited(write_reply_bytes=1024) as place:
        platform = AsyncPlatform(place.client)
        await platform.create_user("u-1", "u@example.org")
        nodes = [AgentNode(id=f"n-{n}", block_id="b") for n in range(20)]

        with pytest.raises(ResultTooLarge) as caught:
            await platform.create_graph(GraphModel(user_id="u-1", nodes=nodes))
    assert names(caught.value, "ROWCALL_WRITE_REPLY_BYTES", 1024)
    assert await sql.fetchval("select count(*) from platform.graphs") == 0


async def test_the_wait_for_a_connection(limited):
    async with limited(pool_size=1, acquire_s=0.05) as place, place.database.connection(1):
        with pytest.raises(Unavailable) as caught:
            await place.accounts.get_account("a-1")

    assert names(caught.value, "ROWCALL_ACQUIRE_S", 0.05)
    assert "ROWCALL_POOL_SIZE" in caught.value.message


async def test_the_time_of_a_statement(limited, sql):
    async with limited(statement_s=0.1) as place:
        await place.accounts.open_account("a-1", "me")
        async with sql.transaction():
            await sql.execute("select from accounts.accounts for update")
            with pytest.raises(Unavailable, match="ROWCALL_STATEMENT_S"):
                await place.accounts.deposit("a-1", 5)

        assert await place.accounts.deposit("a-1", 5) == 5


def test_the_deadline(served, base_settings):
    settings = base_settings.model_copy(update={"default_deadline_s": 3.0, "max_deadline_s": 30.0})
    origin = Origin("tests", "tests", None, None, redelivered=False)
    lines = [call(), call(deadline=int(time.time() * 1000) + 3_600_000)]

    without, late = Admission(served, settings).admit(lines, origin, GET)

    assert isinstance(without, Call)
    assert isinstance(late, Call)
    assert without.expires_at == origin.received_at + 3
    assert late.expires_at == origin.received_at + 30


async def test_the_age_of_an_id(limited):
    eight_days_ago = UUID(int=(int((time.time() - 8 * 86400) * 1000) << 80) | (7 << 76) | (2 << 62))
    async with limited() as place:
        with pytest.raises(InvalidRequest) as caught:
            await AsyncAccounts(place.client.with_options(request_id=eight_days_ago)).deposit("a-1", 5)

    assert names(caught.value, "ROWCALL_RETENTION_DAYS", 7)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("body_bytes", (256 << 10) - 1),
        ("body_bytes", (8 << 20) + 1),
        ("write_reply_bytes", (256 << 10) + 1),
        ("message_calls", 63),
        ("message_calls", 1025),
        ("max_depth", 7),
        ("max_depth", 129),
        ("pool_size", 0),
        ("prefetch", 0),
        ("acquire_s", 0),
        ("statement_s", 301),
        ("max_deadline_s", 301),
        ("timeout_s", 301),
        ("dead_letter_days", 8),
        ("event_entries", 10_000_001),
    ],
)
def test_a_setting_out_of_its_bounds_is_refused_by_name(base_settings, name, value):
    with pytest.raises(ValidationError) as caught:
        WorkerSettings.model_validate({**base_settings.model_dump(), name: value})

    assert caught.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize(
    ("setting", "shown"), re.findall(r"^\|[^|]*\| `ROWCALL_(\w+)` \| ([^|]+?) \|", LIMITS, re.MULTILINE)
)
def test_the_documented_default_is_the_default(setting, shown):
    sizes = {"KiB": 1 << 10, "MiB": 1 << 20}
    number, _, unit = shown.partition(" ")

    assert WorkerSettings.model_fields[setting.lower()].default == float(number) * sizes.get(unit, 1)
