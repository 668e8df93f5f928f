"""C1, C14 and C16: nothing that was confirmed is gone, and nothing is left open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from tests.chaos.checker.evidence import ID, Asked, Evidence, Row
from tests.chaos.checker.findings import Finding

BACKLOG, STILL_S = 10, 2.0
"""So many calls wait, and for so long none is done: then nothing goes on."""


def check_confirmed(evidence: Evidence) -> Iterator[Finding]:
    """C1: what the broker confirmed left a receipt or a dead letter, or is still in a queue."""
    queued = set(ID.findall(json.dumps(evidence.queues)))
    for asked in evidence.writes:
        found = asked.id in evidence.receipts or asked.id in evidence.letters or asked.id in queued
        if asked.confirmed and not found:
            yield Finding("lost", "C1", asked.id, f"{asked.method} was confirmed by the broker, and left no trace")


def check_alarms(evidence: Evidence) -> Iterator[Finding]:
    """C16: while the broker is in an alarm, workers go on with what it had before.

    What became a dead letter did not wait for them: it was replayed when all was over.
    """
    commits = [
        (datetime.fromisoformat(receipt["at"]).timestamp(), asked)
        for asked in evidence.writes
        for receipt in evidence.receipts.get(asked.id, ())
    ]
    for fault in judged_alarms(evidence.faults):
        ended = fault["at"] + fault["until"] - fault["mono"]
        later = [asked for at, asked in commits if at > ended and asked.id not in evidence.letters]
        waiting = [asked for asked in later if _was_confirmed(asked, fault["mono"])]
        if len(waiting) >= BACKLOG and not any(ended - STILL_S < at <= ended for at, _ in commits):
            what = f"{len(waiting)} calls waited, and for {STILL_S:g} s no worker did anything"
            yield Finding("unexplained", "C16", "alarm", what)


def judged_alarms(faults: Sequence[Row]) -> list[Row]:
    """Those that say something of the workers."""
    return [fault for fault in faults if fault["fault"] == "alarm" and not _is_disturbed(fault, faults)]


def _is_disturbed(alarm: Row, faults: Sequence[Row]) -> bool:
    """Whether it was short, or something else happened to a worker before its end."""
    if alarm["until"] - alarm["mono"] < 2 * STILL_S:
        return True
    soonest = alarm["until"] - 2 * STILL_S
    return any(soonest < fault["mono"] < alarm["until"] for fault in faults if fault is not alarm)


def _was_confirmed(asked: Asked, before: float) -> bool:
    return any(line["what"] == "confirmed" and line["mono"] < before for line in asked.answers)


def check_decided(evidence: Evidence) -> Iterator[Finding]:
    """C14: somebody asked for something; after the last fault every write is decided, and no call waits in a queue."""
    if not evidence.calls:
        yield Finding("unexplained", "C14", "run", "nobody asked for anything, so nothing is shown")
    for asked in evidence.writes:
        if not asked.is_decided:
            last = asked.answers[-1]["what"] if asked.answers else "nothing"
            yield Finding("unexplained", "C14", asked.id, f"{asked.method} is not decided; the last of it was: {last}")
    for queue, messages in evidence.queues.items():
        if messages is None or messages:
            what = "it is gone" if messages is None else f"{len(messages)} messages are left in it"
            yield Finding("unexplained", "C14", queue, what)
