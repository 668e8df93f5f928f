"""C10: every line that came to a client, also long after its caller had gone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.checker.evidence import STORED, Evidence
from tests.chaos.checker.findings import Finding
from tests.chaos.folder import lines

TAKEN = frozenset({"IdempotencyKeyReused", "Unavailable", "DeadlineExceeded", "OutcomeUnknown"})
"""What may be answered to another call under an id that is taken."""


def check_replies(evidence: Evidence) -> Iterator[Finding]:
    """C10: replies are to what was asked, and an outcome is the same to the byte each time."""
    outcomes: dict[str, set[str]] = defaultdict(set)
    for path in sorted((evidence.logs.parent / "replies").glob("*.jsonl")):
        for line in lines(path):
            asked = evidence.asked.get(line["id"])
            if asked is None or not asked.invokes:
                yield Finding("unexplained", "C10", str(line["id"]), f"a {line['what']} for an id that nobody invoked")
            elif line["what"] == "reused" and line["code"] not in TAKEN:
                yield Finding("wrong", "C10", asked.id, f"its id was used for another call: {line['code']}")
            elif line["what"] == "reply" and asked.is_write and line["word"] in STORED | {"ok"}:
                outcomes[asked.id].add(f"{line['word']} {line['digest']}")
    for request_id, heard in outcomes.items():
        if len(heard) > 1:
            yield Finding("wrong", "C10", request_id, f"its outcome came in other bytes too: {sorted(heard)}")
