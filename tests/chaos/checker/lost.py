"""C1 and C14: nothing that was confirmed is gone, and nothing is left open."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.chaos.checker.evidence import ID, Evidence
from tests.chaos.checker.findings import Finding


def check_confirmed(evidence: Evidence) -> Iterator[Finding]:
    """C1: what the broker confirmed left a receipt or a dead letter, or is still in a queue."""
    queued = set(ID.findall(json.dumps(evidence.queues)))
    for asked in evidence.writes:
        found = asked.id in evidence.receipts or asked.id in evidence.letters or asked.id in queued
        if asked.confirmed and not found:
            yield Finding("lost", "C1", asked.id, f"{asked.method} was confirmed by the broker, and left no trace")


def check_decided(evidence: Evidence) -> Iterator[Finding]:
    """C14: after the last fault every write is decided, and no call waits in a queue."""
    for asked in evidence.writes:
        if not asked.is_decided:
            last = asked.answers[-1]["what"] if asked.answers else "nothing"
            yield Finding("unexplained", "C14", asked.id, f"{asked.method} is not decided; the last of it was: {last}")
    for queue, messages in evidence.queues.items():
        if messages is None or messages:
            what = "it is gone" if messages is None else f"{len(messages)} messages are left in it"
            yield Finding("unexplained", "C14", queue, what)
