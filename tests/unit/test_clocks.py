"""What a client makes of a clock that it is told of."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from rpc_client.clocks import Clock, apart_s
from rpc_client.parcels import Pending
from rpc_client.wire import Reply


@pytest.mark.parametrize(
    ("told", "apart"), [(100.0, 0), (101.0, 0), (102.0, 0), (132.0, 30), (70.0, -30)], ids=lambda value: f"{value:g}"
)
def test_clocks_that_may_be_equal_are_taken_to_be(told: float, apart: float):
    assert apart_s(told, 100, 102) == apart


def pending(**given: float) -> Pending:
    return Pending(str(uuid4()), "a.b", "write", b"{}", time.monotonic() + given.pop("left_s", 10.0), **given)


def late(behind_s: float = 30.0, error: str = "DeadlineExceeded", **details: object) -> Reply:
    details = details or {"now": int((time.time() + behind_s) * 1000)}
    return Reply(None, None, {"error": error, "message": "", "details": details})


def test_a_call_that_came_too_late_by_another_clock_goes_again_by_that_one():
    clock, call = Clock(), pending()

    assert clock.explains(late(), call)
    assert clock.ahead_s == pytest.approx(30, abs=0.1)
    assert float(call.line(clock.ahead_s).partition(b'"deadline":')[2].partition(b",")[0]) / 1000 - time.time() > 38


def test_a_call_that_knew_the_clock_and_was_late_all_the_same_is_late():
    clock, call = Clock(), pending()
    clock.explains(late(), call)
    call.line(clock.ahead_s)

    assert not clock.explains(late(), call)


def test_every_call_that_left_before_the_clock_was_known_goes_again():
    clock, calls = Clock(), [pending(), pending()]

    assert [clock.explains(late(), call) for call in calls] == [True, True]


@pytest.mark.parametrize(
    "reply",
    [late(0), late(-30), late(error="Conflict"), late(now="soon"), Reply(None, None, {"error": "DeadlineExceeded"})],
    ids=["clocks agree", "ahead", "another error", "no time", "an older worker"],
)
def test_nothing_else_is_sent_again(reply: Reply):
    assert not Clock().explains(reply, pending())


def test_nor_is_a_call_whose_time_is_up():
    assert not Clock().explains(late(), pending(left_s=0))
