"""What a worker reads in AMQP headers, and whom it believes."""

from __future__ import annotations

from random import Random

import pytest
from pamqp import encode

from rpc_client.errors import AuthorizationError, InvalidRequest
from worker.calls import Origin, Replay
from worker.headers import as_replayed

OPERATORS = frozenset({"ops"})


def sent_by(user: str) -> Origin:
    return Origin(user, "replies", "1", None, redelivered=False)


def test_an_operator_replays_the_call_of_another():
    request_id = "0198C5A4-0000-7000-8000-000000000000"
    headers = {"x-rowcall-deadline": 1_700_000_000_000, "x-rowcall-id": request_id, "x-rowcall-caller": "ada"}

    origin = as_replayed(sent_by("ops"), encode.field_table(headers), OPERATORS)

    assert origin.caller == "ada"
    assert origin.replay == Replay(1_700_000_000_000, request_id.lower())


@pytest.mark.parametrize("caller", ["ada", ""])
def test_nobody_else_replays_the_call_of_another(caller):
    headers = encode.field_table({"x-rowcall-caller": caller})

    with pytest.raises(AuthorizationError) as caught:
        as_replayed(sent_by("bob"), headers, OPERATORS)

    assert caught.value.details == {"reason": "operator"}


def test_anybody_may_replay_what_was_their_own():
    origin = as_replayed(sent_by("bob"), encode.field_table({"x-rowcall-caller": "bob"}), OPERATORS)

    assert origin.caller == "bob"


def test_headers_of_others_mean_nothing():
    origin = sent_by("bob")

    assert (
        as_replayed(origin, encode.field_table({"x-rowcall-note": "1", "x-death": [{"count": 1}]}), OPERATORS) is origin
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"x-rowcall-deadline": "tomorrow"},
        {"x-rowcall-deadline": 0},
        {"x-rowcall-deadline": True},
        {"x-rowcall-deadline": 1 << 60},
        {"x-rowcall-id": "17"},
        {"x-rowcall-id": 17},
        {"x-rowcall-caller": ["ada"]},
    ],
)
def test_nonsense_in_our_headers_is_refused_by_name(headers):
    with pytest.raises(InvalidRequest) as caught:
        as_replayed(sent_by("ops"), encode.field_table(headers), OPERATORS)

    assert caught.value.details == {"reason": "headers"}


@pytest.mark.parametrize("seed", range(50))
def test_bytes_that_are_no_table_are_refused_and_break_nothing(seed):
    table = b"\x00\x00\x00\xff\x12x-rowcall-deadline" + Random(seed).randbytes(seed)

    with pytest.raises(InvalidRequest) as caught:
        as_replayed(sent_by("ops"), table, OPERATORS)

    assert caught.value.details == {"reason": "headers"}
