"""C4, C10 and C11: one id, one outcome, in time; and nothing that nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.chaos.checker.evidence import STORED, Asked, Evidence, Row, refusal
from tests.chaos.checker.findings import Finding

CLOCK_S = 2.0
"""How much later than it was noted a call may have been made."""
SENT_S = 300.0
"""What nobody waits for has this long."""


def check_fences(evidence: Evidence) -> Iterator[Finding]:
    """C4: what `outcome` said is what the tables say, and what was fenced never ran."""
    for asked in evidence.writes:
        rows, told = dict(evidence.counted(asked.id)), evidence.stands(asked.id)
        if asked.fenced and (rows or asked.done or told is None or "error" not in told):
            why = f"left {rows}" if rows else "was told done as well" if asked.done else f"its receipt says {told}"
            yield Finding("wrong", "C4", asked.id, f"{asked.method} was told fenced, and {why}")
        for line in asked.answers:
            if line["what"] == "outcome" and (why_not := _untrue(line, told, asked, evidence)):
                yield Finding("wrong", "C4", asked.id, f"{asked.method}: outcome said {line['state']}; {why_not}")


def _untrue(line: Row, told: Row | None, asked: Asked, evidence: Evidence) -> str | None:
    """Why what was said of a call's outcome is not so; None if it is."""
    state = line["state"]
    if line["fence"] and state not in {"done", "failed", "fenced"}:
        return "a fence decides"
    if state == "done" and (told is None or "result" not in told):
        return "no receipt says so"
    if state == "failed" and (told is None or "error" not in told):
        return "no receipt says so"
    if state == "dead_lettered" and asked.id not in evidence.letters:
        return "there is no such letter"
    return None


def check_one_outcome(evidence: Evidence) -> Iterator[Finding]:
    """C10: whatever was answered of an id as its outcome is the same each time, and what its receipt holds."""
    for asked in evidence.writes:
        heard = {text for line in asked.answers if (text := _outcome(line)) is not None}
        told = evidence.stands(asked.id)
        if len(heard) > 1:
            yield Finding("wrong", "C10", asked.id, f"{asked.method} has several outcomes: {sorted(heard)}")
        elif heard and told is not None and heard != {stored := _text(told)}:
            yield Finding("wrong", "C10", asked.id, f"{asked.method} was answered {heard.pop()}; stored is {stored}")
        if len({line["digest"] for line in asked.replies if _is_stored(line["word"])}) > 1:
            yield Finding("wrong", "C10", asked.id, f"{asked.method} was answered different bytes")
        if any(line["what"] == "reused" and line["code"] == "ok" for line in asked.answers) and heard:
            yield Finding("wrong", "C10", asked.id, f"{asked.method} is answered, and its id ran another call as well")


def _is_stored(word: str) -> bool:
    return word == "ok" or word in STORED


def _outcome(line: Row) -> str | None:
    """What a line says the outcome is; None where it says nothing that a receipt would hold."""
    error = refusal(line)
    if error is not None:
        return _text(error) if error["error"] in STORED else None
    return _text({"result": line["result"]}) if "result" in line else None


def _text(told: Row) -> str:
    """An outcome so that it can be compared."""
    value: Any = {"result": told["result"]} if "result" in told else [told["error"], told.get("details") or {}]
    return json.dumps(value, sort_keys=True)


def check_strangers(evidence: Evidence) -> Iterator[Finding]:
    """C10: nothing is stored or done under an id that nobody invoked."""
    invoked = {asked.id for asked in evidence.calls}
    for request_id in sorted(evidence.receipts.keys() - invoked):
        yield Finding("unexplained", "C10", request_id, "a receipt for an id that nobody asked for")
    for mark in sorted(evidence.effects.keys() - invoked):
        yield Finding("unexplained", "C10", mark, "rows that name a call which nobody asked for")


def check_deadlines(evidence: Evidence) -> Iterator[Finding]:
    """C11: what committed did so before the latest of the deadlines that its callers had set."""
    for asked in evidence.writes:
        for receipt in evidence.receipts.get(asked.id, ()):
            if "result" not in receipt["told"]:
                continue  # a fence has no deadline
            at, deadline = (datetime.fromisoformat(receipt[name]).timestamp() for name in ("at", "deadline"))
            bound = min(deadline, max(line["at"] + _given_s(line) for line in asked.invokes) + CLOCK_S)
            if at > bound:
                what = f"{asked.method} committed {at - bound:.3f} s after its deadline"
                yield Finding("wrong", "C11", asked.id, what)


def _given_s(invoke: Row) -> float:
    return SENT_S if invoke.get("sent") else float(invoke["timeout_s"])
