"""docs/guarantees.md and docs/faults.md name the tests that show what they say."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEST = re.compile(r"`(test_\w+)`")
PAGE = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
NAMED = set(TEST.findall(PAGE))
HEAVY = re.compile(r"@pytest\.mark\.heavy\n(?:@.*\n)*(?:async )?def (test_\w+)")


def sources() -> list[str]:
    return [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]


def defined() -> set[str]:
    return {name for text in sources() for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.MULTILINE)}


def test_every_test_that_a_promise_names_exists_and_runs_every_day():
    seldom = {name for text in sources() for name in HEAVY.findall(text)}

    assert NAMED - defined() == set()
    assert NAMED & seldom == set()


def test_every_test_that_is_named_for_a_fault_exists():
    named = set(TEST.findall((ROOT / "docs" / "faults.md").read_text(encoding="utf-8")))

    assert named
    assert named - defined() == set()


def test_every_promise_says_by_what_it_is_kept_what_it_costs_and_what_shows_it():
    promises = re.findall(r"^### (G\d+): .*\n((?:(?!##).*\n)*)", PAGE, re.MULTILINE)

    assert [name for name, _ in promises] == ["G1", "G2", "G3", "G4", "G5", "G6", "G8", "G10", "G11", "G12"]
    for name, text in promises:
        assert [word in text for word in ("**By** ", "**Costs** ", "**Shown by** `test_")] == [True] * 3, name


def test_every_test_of_a_promise_is_named():
    text = (ROOT / "tests" / "faults" / "test_guarantees.py").read_text(encoding="utf-8")

    assert set(re.findall(r"def (test_g\d+_\w+)", text)) <= NAMED
