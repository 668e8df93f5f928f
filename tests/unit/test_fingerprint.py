"""One cause has one fingerprint, whichever values, lines and folders are named; another cause has another."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.dead_letters import error_text, fit, traceback_text
from worker.fingerprint import WORDS, fingerprint

VALUES = (
    st.text(max_size=30) | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.binary(max_size=20)
)


def failed(story: object, value: object) -> str:
    """The fingerprint of a story that fails on this value."""
    try:
        story(value)
    except (KeyError, ValueError) as error:
        return fingerprint("accounts.deposit", error_text(error), traceback_text(error))
    raise AssertionError("it did not fail")


def look_up(value: object) -> None:
    {}[value]


def judge(value: object) -> None:
    raise ValueError(f"account {value!r} has no entry")


def judge_elsewhere(value: object) -> None:
    raise ValueError(f"account {value!r} has no entry")


@given(one=VALUES, other=VALUES)
@pytest.mark.parametrize("story", [look_up, judge])
def test_the_value_it_met_makes_no_difference(story, one, other):
    assert failed(story, one) == failed(story, other)


def test_another_function_makes_one_though_it_says_the_same():
    assert failed(judge, 1) != failed(judge_elsewhere, 1)


def test_neither_does_how_often_a_function_called_itself():
    frame = '  File "x.py", line 1, in walk\n    walk(child)\n'

    assert fingerprint("a.b", "RecursionError", frame * 3) == fingerprint("a.b", "RecursionError", frame)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"KeyError: {UUID(int=1)} of 12", f"KeyError: {UUID(int=2)} of 1"),
        ("Error: at 2026-11-26T08:00:00Z, code -5", "Error: at 2027-01-01T00:00:00.5Z, code 7"),
        ("Error: Key (name)=(Ada) already exists.", "Error: Key (name)=(Bob, the second) already exists."),
        ("Error: ids 1, 2, 3 are taken", "Error: ids 4, 5 are taken"),
        ("Error: no route to 10.0.0.1:5432", "Error: no route to 192.168.1.17:5432"),
        ("Error: <Session at 0x7f00dead> for ada@example.org", "Error: <Session at 0x55aa> for bob@example.com"),
        ("Error: digest deadbeefcafe", "Error: digest 12345678"),
        ("Error: it's gone: user=ada", "Error: it's gone: user=bob"),
    ],
)
def test_values_are_struck_out_of_what_is_said(one, other):
    assert fingerprint("a.b", one) == fingerprint("a.b", other)


@pytest.mark.parametrize(
    "other",
    [
        ("a.c", "KeyError: gone", ""),
        ("a.b", "ValueError: gone", ""),
        ("a.b", "KeyError: lost", ""),
        ("a.b", "KeyError: gone", '  File "x.py", line 1, in run\n'),
    ],
    ids=["method", "class", "words", "way"],
)
def test_another_method_class_word_or_way_makes_another(other):
    assert fingerprint("a.b", "KeyError: gone") != fingerprint(*other)


def test_lines_and_folders_make_none():
    here = '  File "/srv/app/accounts/services.py", line 12, in deposit\n  File "/srv/x/__init__.py", line 1, in y\n'
    there = here.replace("/srv/app", "/home/me").replace("line 12", "line 40")

    assert fingerprint("a.b", "KeyError", here) == fingerprint("a.b", "KeyError", there)
    assert len(fingerprint("a.b", "KeyError", here)) == 12


SIGNS = st.text("'\"`\\b=()@#,:. az9", min_size=1, max_size=4)


@pytest.mark.timeout(20)
@given(start=SIGNS, over=SIGNS)
@example(start="'", over="\\")
@example(start="x", over="z")
@example(start="=(", over="=(")
def test_no_words_keep_the_worker_that_reads_them(start, over):
    assert len(fingerprint("a.b", f"Error: {start}{over * WORDS}")) == 12


def test_of_very_many_words_the_first_ones_count():
    assert fingerprint("a.b", f"Error:{'word ' * WORDS}") == fingerprint("a.b", f"Error:{'word ' * WORDS}and more")


@pytest.mark.parametrize("value", ["'it was {}", "Key (name)=({}"])
def test_a_value_that_was_cut_off_is_one(value):
    one, other = value.format("long"), value.format("longer and longer")

    assert fingerprint("a.b", f"Error: {one}") == fingerprint("a.b", f"Error: {other}")


@given(text=st.text(st.characters(exclude_categories=[]), max_size=400), most=st.integers(10, 300))
def test_a_text_is_made_to_fit_whatever_it_holds(text, most):
    made = fit(text, most)

    assert "\0" not in made
    assert len(made.encode()) <= most + 60


def test_a_long_traceback_loses_its_middle():
    made = fit("begin" + "é" * 20_000 + "end")

    assert made.startswith("beginé")
    assert made.endswith("éend")
    assert "bytes left out" in made
