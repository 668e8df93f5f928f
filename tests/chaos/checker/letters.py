"""C12: every dead letter has a cause among what was done on purpose, and holds what was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from tests.chaos.checker.evidence import Asked, Evidence, Row
from tests.chaos.checker.findings import Finding
from tests.chaos.history import METHODS
from worker.attempts import MAX_ATTEMPTS

TRIPS = frozenset({"chaos.trip"})
KILLS = frozenset({"chaos.kill", "chaos.kill_read"})
WHOLE_S = 1.0
"""The broker tells in whole seconds when a message expired."""


def _ran_out(_: Evidence, asked: Asked, letter: Row) -> bool:
    """Whether the last that happened to it came after the first moment at which it may have been too late."""
    soonest = min(line["at"] + float(line["timeout_s"]) for line in asked.invokes)
    return datetime.fromisoformat(letter["last_at"]).timestamp() + WHOLE_S > soonest


def _was_deadly(evidence: Evidence, asked: Asked, letter: Row) -> bool:
    """Whether it kills its workers, or three were killed while it was under way: more is not said of it.

    That it was not the killer is for the figure to count.
    """
    asked_at, ended_at = (
        min(line["at"] for line in asked.invokes),
        datetime.fromisoformat(letter["last_at"]).timestamp(),
    )
    died = [at for at in evidence.deaths if asked_at <= at <= ended_at]
    return asked.method in KILLS or len(died) >= MAX_ATTEMPTS


CAUSES: Mapping[str, Callable[[Evidence, Asked, Row], bool]] = {
    "malformed": lambda _, asked, __: asked.bad,
    "internal": lambda _, asked, __: asked.method in TRIPS,
    "poison": _was_deadly,
    "expired": _ran_out,
    "exhausted": lambda evidence, _, __: bool(evidence.faults),
}
"""Reason -> whether anything that was done to a call, or around it, explains a letter of that reason."""


def check_letters(evidence: Evidence) -> Iterator[Finding]:
    """C12: letters without a cause, letters that hold something else, and letters that were promised and are not."""
    for letter in evidence.tables["dead_letters"]:
        asked = evidence.asked.get(letter["id"])
        if asked is None or not asked.invokes:
            yield Finding("unexplained", "C12", letter["id"], f"a dead letter that nobody sent: {letter['reason']}")
            continue
        if not CAUSES[letter["reason"]](evidence, asked, letter):
            what = f"{asked.method} is a dead letter: {letter['reason']}, {letter['error']}"
            yield Finding("unexplained", "C12", asked.id, what)
        if not _holds(letter, asked):
            yield Finding("wrong", "C12", asked.id, f"its dead letter does not hold what was sent: {letter['body']}")
    for asked in evidence.writes:
        if _is_promised(asked) and asked.id not in evidence.letters:
            yield Finding("lost", "C12", asked.id, f"{asked.method} was said to be kept for replay, and is not")


def _holds(letter: Row, asked: Asked) -> bool:
    """Whether these are the bytes of that call: its id, its method and its arguments."""
    try:
        line: dict[str, Any] = json.loads(letter["body"])
    except ValueError:
        return False
    return (line.get("id"), line.get("method")) == (asked.id, asked.method) and line.get("args") in _sent(asked)


def _sent(asked: Asked) -> list[Row]:
    """The arguments that went out under its id: its own, and those of another call for which it was used in vain."""
    reused = {name: f"reused {asked.id}" for name in ("note", "mark") if name in asked.args}
    return [asked.args, {**asked.args, **reused}]


def _is_promised(asked: Asked) -> bool:
    """Whether its caller was told of a bug: then a write is kept."""
    bugs = [line for line in asked.answers if line["what"] == "error" and line["code"] == "InternalError"]
    return asked.method in METHODS and bool(bugs)
