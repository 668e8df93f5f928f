"""What a message of the dead-letter queue is taken for, and whom it is believed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode

from worker.arrivals import Arrivals
from worker.calls import Origin
from worker.dead_letters import REASONS
from worker.desk.store import KeptLetter
from worker.keys import KeyRing, UnreadableError, new_key
from worker.settings import WorkerSettings

KEYS = KeyRing([new_key()])
OWN = Origin("worker", None, "c-1", "m-1", redelivered=False)
"""The user under which workers publish; "clerk" is an operator."""
FOREIGN = Origin("mallory", None, "c-1", "m-1", redelivered=False)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOLD = {
    "x-rowcall-reason": "internal",
    "x-rowcall-error": "KeyError: 'x'",
    "x-rowcall-traceback": "Traceback …",
    "x-rowcall-attempts": 3,
    "x-rowcall-first-at": "2026-03-01T11:00:00+00:00",
    "x-rowcall-last-at": AT.isoformat(),
    "x-rowcall-worker": "here:1",
    "x-rowcall-caller": "ada",
    "x-rowcall-sealed": 1,
}


def read(body: bytes, headers: dict[str, Any], origin: Origin = OWN) -> list[KeptLetter]:
    settings = WorkerSettings(amqp_url="amqp://worker:x@broker/", operators="clerk")
    table = encode.field_table(headers)
    return Arrivals(settings, KEYS).read(body, table, "write.accounts.deposit", origin)


def line(**more: Any) -> bytes:
    return orjson.dumps({"method": "accounts.deposit", "args": {"amount": 5}, **more})


def sealed(body: bytes) -> bytes:
    return KEYS.seal(body, place="queue")


def test_a_worker_s_letter_is_what_it_says():
    request_id = str(uuid4())

    (letter,) = read(sealed(line(id=request_id.upper())), TOLD)

    assert (letter.id, letter.caller, letter.method) == (request_id, "ada", "accounts.deposit")
    assert (letter.reason, letter.error, letter.traceback) == ("internal", "KeyError: 'x'", "Traceback …")
    assert (letter.attempts, letter.worker, letter.last_at) == (3, "here:1", AT)
    assert letter.first_at == AT.replace(hour=11)


@pytest.mark.parametrize(
    "origin", [FOREIGN, Origin("", None, None, None, redelivered=False)], ids=["another", "nobody"]
)
def test_nobody_else_is_believed_what_workers_say(origin: Origin):
    (letter,) = read(line(id=str(uuid4())), {**TOLD, "x-rowcall-id": str(uuid4())}, origin)

    assert (letter.caller, letter.reason, letter.worker) == (origin.caller, "exhausted", "broker")
    assert "KeyError" not in letter.error


def test_a_worker_under_another_user_is_known_by_the_key():
    (letter,) = read(sealed(line(id=str(uuid4()))), TOLD, FOREIGN)

    assert (letter.caller, letter.reason, letter.worker, letter.method) == (
        "ada",
        "internal",
        "here:1",
        "accounts.deposit",
    )


@pytest.mark.parametrize(
    "body",
    [
        KeyRing([]).seal(line(), place="queue"),
        KeyRing([new_key()]).seal(line(), place="queue"),
        KEYS.seal(line(), place="letter/1"),
    ],
    ids=["no key", "a key of its own", "what lay elsewhere"],
)
def test_what_our_keys_do_not_open_for_the_queue_is_no_worker_s(body: bytes):
    (letter,) = read(body, TOLD, FOREIGN)

    assert (letter.caller, letter.reason, letter.worker) == ("mallory", "malformed", "broker")


def test_an_operator_s_replay_that_expired_is_still_its_caller_s():
    request_id, death = str(uuid4()), [{"reason": "expired", "time": AT, "queue": "rowcall.write", "count": 1}]
    headers = {"x-death": death, "x-rowcall-caller": "ada", "x-rowcall-id": request_id}

    (letter,) = read(line(), headers, Origin("clerk", None, None, None, redelivered=False))

    assert (letter.id, letter.caller, letter.reason, letter.last_at) == (request_id, "ada", "expired", AT)


@pytest.mark.parametrize(
    ("said", "reason"),
    [("expired", "expired"), ("delivery_limit", "poison"), ("rejected", "internal"), ("maxlen", "exhausted")],
)
def test_the_broker_s_reasons_become_ours(said: str, reason: str):
    (letter,) = read(line(id=str(uuid4())), {"x-death": [{"reason": said, "time": AT}]}, FOREIGN)

    assert (letter.reason, letter.first_at, letter.last_at, letter.caller) == (reason, AT, AT, "mallory")


def test_what_expired_and_was_too_large_to_run_is_one_letter_that_is_no_call():
    body = line() + b"\n" + b"x" * (2 << 20)

    (letter,) = read(body, {"x-death": [{"reason": "expired", "time": AT}]}, FOREIGN)

    assert (letter.reason, letter.method) == ("malformed", "accounts.deposit")
    assert orjson.loads(letter.body)["bytes"] == len(body)


def test_calls_without_an_id_have_the_one_a_worker_gives_them_and_unreadable_lines_one_of_their_bytes():
    body = b"\n".join([line(), b"garbage", b"", b"rubbish"])

    first, again = read(body, {}, FOREIGN), read(body, {}, FOREIGN)

    assert [letter.id for letter in first] == [letter.id for letter in again]
    assert len({letter.id for letter in first}) == 3
    assert [letter.reason for letter in first] == ["exhausted", "malformed", "malformed"]
    assert [letter.method for letter in first] == ["accounts.deposit"] * 3
    assert [letter.body for letter in first] == [line(), b"garbage", b"rubbish"]


def test_a_letter_that_no_key_opens_is_none():
    with pytest.raises(UnreadableError):
        read(KeyRing([new_key()]).seal(line(), place="queue"), TOLD)


WORDS = st.sampled_from([*TOLD, "x-rowcall-id", "x-death"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.text(max_size=20)
    | st.integers(0, 2**31).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    body=st.binary(max_size=200) | JSON.map(lambda v: orjson.dumps(v, default=str)),
    headers=st.dictionaries(WORDS, JSON, max_size=6) | st.binary(max_size=60),
    origin=st.sampled_from([OWN, FOREIGN]),
)
def test_whatever_lies_there_is_a_letter_that_the_table_can_hold(body, headers, origin):
    table = headers if isinstance(headers, bytes) else encode.field_table(headers)
    arrivals = Arrivals(WorkerSettings(amqp_url="amqp://worker:x@broker/"), KeyRing([]))
    try:
        letters = arrivals.read(body, table, "write.a.b", origin)
    except UnreadableError:
        return

    if origin is FOREIGN:
        assert [letter.body for letter in letters] == ([line for line in body.split(b"\n") if line.strip()] or [body])
    for letter in letters:
        assert UUID(letter.id)
        assert letter.reason in REASONS
        assert letter.first_at <= letter.last_at
        assert letter.attempts > 0
        assert "\0" not in letter.method + letter.error + letter.traceback + letter.caller + letter.worker
        assert len(letter.method.encode()) <= 255
