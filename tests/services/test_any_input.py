"""Whatever the bytes, a message gets one reply a line, of a known shape, and only a call changes anything."""

from __future__ import annotations

import json

import asyncpg
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from accounts import AsyncAccounts
from rpc_client.errors import BUILT_IN
from worker.calls import Origin
from worker.pipeline import Pipeline

KEY = "write.accounts.deposit"
UNTOUCHED = {"InvalidRequest", "DeadlineExceeded"}

# The database is the test's own and every example leaves it as it may be left, so it need not be new for each.
many = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["a-1", "accounts.deposit", "accounts.get_account", str(uuid7()), "\0", "x" * 300])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
KEYS = ["id", "method", "args", "deadline", "attempt", "v", "trace"]
ARGUMENTS = ["account_id", "amount", "note"]


def dumped(value: object) -> bytes:
    """JSON of anything, with NaN and lone surrogates as they stand: orjson writes neither."""
    return json.dumps(value).encode()


def valid() -> dict[str, object]:
    arguments = {"account_id": "a-1", "amount": 5, "note": "lunch"}
    return {"id": str(uuid7()), "method": "accounts.deposit", "args": arguments, "deadline": 4_000_000_000_000}


@pytest.fixture
async def ready(pipeline: Pipeline, accounts: AsyncAccounts) -> Pipeline:
    await accounts.open_account("a-1", "me")
    return pipeline


async def state(sql: asyncpg.Connection) -> asyncpg.Record:
    return await sql.fetchrow(
        "select (select sum(balance) from accounts.accounts), (select count(*) from accounts.entries),"
        " (select count(*) from rowcall.receipts)"
    )


async def check(ready: Pipeline, sql: asyncpg.Connection, body: bytes, key: str = KEY) -> list[dict[str, object]]:
    """Send it, and hold what is true of every answer; the replies."""
    before = await state(sql)

    # It arrives now: nothing may run later than 300 s after its arrival.
    answered = await ready.answer(body, Origin("tests", "tests", None, "a message", redelivered=False), key)

    lines = [line for line in body.split(b"\n") if line.strip()]
    replies = [orjson.loads(reply) for reply in answered.replies]
    assert len(replies) == (len(lines) if 0 < len(lines) <= 64 else 1)
    assert answered.dead == []
    for reply in replies:
        said = {"id", "error", "message", "details"}
        assert reply.keys() in ({"id", "result"}, said, said | {"attempt", "deadline"})
        assert reply.get("error", "InvalidRequest") in BUILT_IN.keys() - {"InternalError"}
    if all(reply.get("error") in UNTOUCHED for reply in replies):
        assert await state(sql) == before
    return replies


@many
@given(body=st.binary(max_size=300), key=st.sampled_from([KEY, "read.accounts.get_account", "", "write.é"]))
async def test_arbitrary_bytes(ready, sql, body, key):
    await check(ready, sql, body, key)


@many
@given(value=values)
async def test_arbitrary_json(ready, sql, value):
    await check(ready, sql, dumped(value))


@many
@given(fields=st.dictionaries(st.sampled_from(KEYS), values), arguments=st.dictionaries(st.text(max_size=8), values))
async def test_arbitrary_values_under_the_names_we_know(ready, sql, fields, arguments):
    await check(ready, sql, dumped({**valid(), **fields}))
    await check(ready, sql, dumped({**valid(), "args": arguments}))


@many
@given(name=st.sampled_from(ARGUMENTS), value=values)
async def test_an_argument_of_another_type(ready, sql, name, value):
    call = valid()
    call["args"] = {**call["args"], name: value}

    await check(ready, sql, dumped(call))


@many
@given(flips=st.lists(st.integers(0, 8 * 180), min_size=1, max_size=3))
async def test_a_valid_call_with_bits_flipped(ready, sql, flips):
    body = bytearray(orjson.dumps(valid()))
    for flip in flips:
        body[flip // 8 % len(body)] ^= 1 << flip % 8

    await check(ready, sql, bytes(body))


async def test_a_valid_call_cut_short_at_every_byte(ready, sql):
    body = orjson.dumps(valid())

    for end in range(len(body)):
        (reply,) = await check(ready, sql, body[:end])
        assert reply["error"] == "InvalidRequest"

    (reply,) = await check(ready, sql, body)
    assert reply["result"] == 5


@many
@given(st.lists(st.sampled_from([b"", b" ", b"{}", b"null", b"\xff", b"\r"]), max_size=80))
async def test_lines_of_all_kinds_beside_a_good_one(ready, sql, lines):
    replies = await check(ready, sql, b"\n".join([*lines, orjson.dumps(valid())]))

    assert ("result" in replies[-1]) == (len([line for line in lines if line.strip()]) < 64)
