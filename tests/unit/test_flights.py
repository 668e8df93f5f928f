"""What the broker says of messages tells which calls may have run: those of which it may have kept an attempt."""

from __future__ import annotations

import time

import pytest

from rpc_client import Disconnected, OutcomeUnknown, Unroutable
from rpc_client.endings import closed, unroutable
from rpc_client.flights import Flight, Flights
from rpc_client.parcels import Pending


def flown(flights: Flights) -> tuple[int, Pending]:
    """A call whose first attempt is on its way, and the number of its message."""
    call = Pending("1", "a.b", "write", b"{}", time.monotonic() + 30, attempt=1)
    return flights.begin(Flight("write.a.b", [call], 2)), call


def test_of_what_was_returned_or_refused_nothing_may_have_run():
    flights = Flights()
    returned, first = flown(flights)
    refused, second = flown(flights)

    flights.returned(returned)
    flights.refused(refused, multiple=False)

    assert [call.may_have_run for call in (first, second)] == [False, False]
    assert isinstance(unroutable(first, "write"), Unroutable)
    assert isinstance(closed(second), Disconnected)


def test_what_was_taken_or_never_heard_of_may_have_run_whatever_became_of_a_later_attempt():
    flights = Flights()
    taken, first = flown(flights)
    _, second = flown(flights)
    assert [flight.calls for flight in flights.taken(taken, multiple=False)] == [[first]]

    for call in (first, second):
        call.attempt = 2
        flights.returned(flights.begin(Flight("write.a.b", [call], 2)))

        assert call.may_have_run
        assert isinstance(unroutable(call, "write"), OutcomeUnknown)
        assert isinstance(closed(call), OutcomeUnknown)


@pytest.mark.parametrize("how", ["taken", "refused"])
def test_a_word_on_several_is_on_all_up_to_that_number(how: str):
    flights = Flights()
    numbers = [flown(flights)[0] for _ in range(4)]

    done = getattr(flights, how)(numbers[2], multiple=True)

    assert (len(done), len(list(flights))) == (3, 1)
    assert flights.returned(numbers[0]) is None


def test_who_waits_with_the_same_call_goes_on_counting_where_it_has_got_to():
    flights = Flights()
    number, first = flown(flights)
    flights.returned(number)
    joined = Pending("1", "a.b", "write", b"{}", time.monotonic() + 30)

    joined.follow(first)

    assert (joined.attempt, joined.may_have_run) == (1, False)


def test_of_those_under_way_to_an_exchange_that_is_gone_the_last_was_surely_not_taken():
    flights = Flights()
    (_, first), (_, last) = flown(flights), flown(flights)

    flights.stranded()

    assert [call.may_have_run for call in (first, last)] == [True, False]
