"""The checker says nothing of a calm run, and something of each run that is spoilt, by the check that should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.checker import check
from tests.chaos.checking import spoilt_calls, spoilt_surroundings
from tests.chaos.checking.story import Story, calm, found_in, letter, numbers

SPOILT = spoilt_calls.SPOILT | spoilt_surroundings.SPOILT


def test_a_calm_run_has_nothing_to_find(tmp_path: Path):
    assert found_in(calm(), tmp_path) == []


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_run_is_found(spoil: Callable[[Story], None], tmp_path: Path):
    story = calm()
    spoil(story)

    assert SPOILT[spoil] in numbers(found_in(story, tmp_path))


def test_work_that_goes_on_in_an_alarm_is_nothing_to_find(tmp_path: Path):
    story = calm()
    spoilt_surroundings.nothing_went_on_in_an_alarm(story)
    story.receipt("waited-0")["at"] = story.receipt("waited-1")["at"].replace(":56.1", ":55.1")

    assert found_in(story, tmp_path) == []


def test_a_dead_letter_that_is_replayed_after_an_alarm_did_not_wait_for_anybody_in_it(tmp_path: Path):
    story = calm()
    spoilt_surroundings.nothing_went_on_in_an_alarm(story)
    story.tables["dead_letters"].append(letter("waited-0", "chaos.note", "expired", 26))

    assert ("unexplained", "C16") not in numbers(found_in(story, tmp_path))


def test_every_check_is_seen_to_find_something():
    assert {number for _, number in SPOILT.values()} == {f"C{number}" for number in range(1, 17)}


def test_a_history_whose_writer_was_killed_is_read_up_to_there(tmp_path: Path):
    found_in(calm(), tmp_path)
    with (tmp_path / "history" / "client-0.jsonl").open("a") as history:
        history.write('{"what": "ok", "id": "0198c5')

    assert check(tmp_path) == []
