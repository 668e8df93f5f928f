"""C9: the record of events is exactly what committed, and each aggregate's events stand as they happened."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.checker.evidence import Evidence, Row
from tests.chaos.checker.findings import Finding
from tests.chaos.checker.money import books_of

BALANCES = frozenset({"Deposited", "Withdrawn", "CreditsSpent", "CreditsAdded"})
"""Events that tell a balance; with their call they name one line of a ledger."""


def check_events(evidence: Evidence) -> Iterator[Finding]:
    """C9: nothing that was rolled back, nothing missing, nothing twice, and in order."""
    told: list[Row] = [entry["event"] for entry in evidence.stream]
    yield from _compared(evidence, Counter(event["id"] for event in told))
    yield from _mute(evidence)
    yield from _out_of_order(told)
    yield from _against_the_books(evidence, told)


def _compared(evidence: Evidence, told: Counter[str]) -> Iterator[Finding]:
    """The events of the record against those of the receipts."""
    rows = [row for receipts in evidence.receipts.values() for row in receipts if row["events"]]
    committed = {f"{row['id']}/{n}" for row in rows for n in range(len(row["events"]))}
    for event_id in sorted(committed - told.keys()):
        yield Finding("lost", "C9", event_id, "an event that committed is not in the record")
    for event_id in sorted(told.keys() - committed):
        yield Finding("wrong", "C9", event_id, "an event is in the record, and nothing of it committed")
    for event_id, times in told.items():
        if times > 1:
            yield Finding("doubled", "C9", event_id, f"an event stands {times} times in the record")


def _mute(evidence: Evidence) -> Iterator[Finding]:
    """Calls that changed something and tell nobody."""
    for asked in evidence.writes:
        rows = evidence.receipts.get(asked.id, ())
        if evidence.effects.get(asked.id) and any(not row["events"] for row in rows):
            yield Finding("lost", "C9", asked.id, f"{asked.method} changed something without an event")


def _out_of_order(told: list[Row]) -> Iterator[Finding]:
    """Events of one aggregate that do not stand in the order of their numbers."""
    last: dict[tuple[str, str, str], Row] = {}
    for event in told:
        of = (event["family"], event["aggregate"], event["aggregate_id"])
        before = last.get(of)
        if before is not None and _place(before) >= _place(event):
            yield Finding("wrong", "C9", event["id"], f"it follows {before['id']}, whose number is not lower")
        last[of] = event


def _place(event: Row) -> tuple[int, int]:
    return event["seq"], int(event["id"].rpartition("/")[2])


def _against_the_books(evidence: Evidence, told: list[Row]) -> Iterator[Finding]:
    """Numbers may be drawn in a wrong order too. Ledgers tell what happened to an account, and when."""
    heard: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for event in told:
        if event["type"] in BALANCES:
            account = (event["aggregate"], event["aggregate_id"])
            heard[account].append((event["request_id"], event["data"]["balance"]))
    for account, ledger in books_of(evidence).items():
        places = {(line.mark, line.balance): place for place, line in enumerate(ledger)}
        known = [(places[line], line[0]) for line in heard[account] if line in places]
        for (first, earlier), (second, later) in pairwise(known):
            if first > second:
                what = f"the record tells it before {later}, after which it happened to {' '.join(account)}"
                yield Finding("wrong", "C9", earlier, what)
