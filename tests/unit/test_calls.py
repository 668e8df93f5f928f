"""Identity: the same call is recognised however often it comes, and nobody else's is taken for it."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from uuid import UUID, uuid4, uuid5

import pytest

from rpc_client.calls import idempotency_id
from rpc_client.errors import InvalidRequest
from rpc_client.wire import Line
from worker.calls import OTHER_IDS_DAY, Origin, day_of, hash_arguments, identify

SOME_ID = "3f0a6c52-7d1e-4b8a-9c5d-2e4f60718293"
"""The same in every process that collects these tests."""


def line(request_id: str | None = None) -> Line:
    return Line(request_id, "a.b", b"{}", None, 1)


def origin(**changes) -> Origin:
    return Origin(
        **{"caller": "me", "reply_to": "q", "correlation_id": "7", "message_id": "m", "redelivered": False} | changes
    )


def v7(milliseconds: int) -> str:
    return str(UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | 5))


def test_its_own_id_identifies_a_call_in_any_case():
    own = uuid4()

    assert identify(line(str(own).upper()), origin(), write=True) == str(own)


@pytest.mark.parametrize("text", ["", "7", f"{{{SOME_ID}}}", f"urn:uuid:{SOME_ID}", SOME_ID.replace("-", ""), "g" * 36])
def test_any_other_text_is_no_id(text):
    with pytest.raises(InvalidRequest) as caught:
        identify(line(text), origin(), write=True)

    assert caught.value.details == {"reason": "request_id"}


def test_a_message_delivered_again_is_the_same_call_and_a_new_one_is_not():
    first = identify(line(), origin(), write=True)

    assert identify(line(), origin(redelivered=True), write=True) == first
    for change in ({"message_id": "n"}, {"correlation_id": "8"}, {"reply_to": "r"}, {"caller": "you"}):
        assert identify(line(), origin(**change), write=True) != first


def test_a_write_without_any_mark_is_refused_and_a_read_is_not():
    unmarked = origin(correlation_id=None, message_id=None)

    with pytest.raises(InvalidRequest) as caught:
        identify(line(), unmarked, write=True)
    assert caught.value.details == {"reason": "request_id_required"}
    assert identify(line(), unmarked, write=False)


def test_a_uuid7_is_remembered_under_its_own_day():
    made = datetime(2026, 11, 20, 23, 59, 59, 999000, tzinfo=UTC).timestamp()

    day = day_of(v7(round(made * 1000)), now=made + 60, retention_days=7)

    assert day == date(2026, 11, 20)


@pytest.mark.parametrize("age_s", [7 * 86400 + 1, -3601, -(10**10), 10**9 * 1.7])
def test_a_uuid7_of_another_time_is_refused(age_s):
    now = time.time()

    with pytest.raises(InvalidRequest) as caught:
        day_of(v7(min(max(round((now - age_s) * 1000), 0), 2**48 - 1)), now=now, retention_days=7)

    assert caught.value.details == {"reason": "request_id_day", "limit": 7}


def test_every_other_id_lives_in_one_fixed_partition():
    for request_id in (uuid4(), uuid5(uuid4(), "x"), idempotency_id("me", "key")):
        assert day_of(str(request_id), now=time.time(), retention_days=7) == OTHER_IDS_DAY


def test_a_key_in_words_belongs_to_its_caller():
    assert idempotency_id("me", "order 7") == idempotency_id("me", "order 7")
    assert idempotency_id("me", "order 7") != idempotency_id("you", "order 7")


def test_method_and_arguments_tell_calls_apart():
    assert hash_arguments("a.b", b"{}") == hash_arguments("a.b", b"{}")
    assert hash_arguments("a.b", b"{}") != hash_arguments("a.c", b"{}")
    assert hash_arguments("a.b", b'{"n":1}') != hash_arguments("a.b", b'{"n":2}')
