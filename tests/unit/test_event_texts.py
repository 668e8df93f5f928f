"""A receipt's events as they are told: whatever stands there, each is JSON, and nothing in it changes."""

from __future__ import annotations

import json

import pytest

from worker.events import event_texts

NUMBERS = '{"data": {"it": 123456789012345678901234567890, "small": 0.1234567890123456789}, "type": "Told"}'
BRACKETS = r'{"data": {"it": "}, {[\\\\\" ]"}, "deep": [[{"a": [1, {}]}], []]}'


def told(events: str) -> list[str]:
    return event_texts("r", "tests", 7, '"2026-01-01T00:00:00+00:00"', events)


@pytest.mark.parametrize("event", [NUMBERS, BRACKETS])
def test_an_event_is_told_as_it_was_written_alone_or_among_others(event: str):
    alone, among = told(f"[{event}]"), told(f"[{event}, {event}, {event}]")

    assert [json.loads(text)["id"] for text in among] == ["r/0", "r/1", "r/2"]
    assert alone == among[:1]
    assert all(text.startswith(event[:-1]) for text in among)
    assert json.loads(event).items() <= json.loads(among[1]).items()


@pytest.mark.parametrize("events", ["null", "5", "[5]", '"it"', "{}", "[{}]", "[[1, 2]]", '[[{"a": 1}], {}]'])
def test_what_is_no_event_is_told_all_the_same(events: str):
    first, *_ = told(events)

    assert json.loads(first) == {
        "id": "r/0",
        "family": "tests",
        "seq": 7,
        "time": "2026-01-01T00:00:00+00:00",
        "request_id": "r",
    }


def test_every_element_has_its_place():
    among = told('["a, [", {"type": "Told"}, 5, [1, 2]]')

    assert [json.loads(text).get("type") for text in among] == [None, "Told", None, None]


def test_what_is_no_event_between_two_that_are_has_its_place_too():
    among = told('[{"type": "First"}, null, {"type": "Third"}]')

    assert [json.loads(text).get("type") for text in among] == ["First", None, "Third"]


def test_of_no_events_none_is_told():
    assert told("[]") == []
