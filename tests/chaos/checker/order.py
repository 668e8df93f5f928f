"""C7 and C8: real time is respected, whatever was read had been written, and a task has one claimant."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from tests.chaos.checker.evidence import NEVER, Asked, Evidence, refusal
from tests.chaos.checker.findings import Finding
from tests.chaos.checker.money import Books, Line, books_of

Spans = Mapping[int, list[tuple[float, float]]]
"""Balance -> between which moments an account may have held just this."""


def check_order(evidence: Evidence) -> Iterator[Finding]:
    """C7: a write that had ended before another began stands before it in the ledger."""
    for name, ledger in books_of(evidence).items():
        earliest, by = NEVER, ""
        for line in reversed(ledger):
            asked = evidence.asked.get(line.mark)
            if asked is None or not asked.invokes:
                continue
            if earliest < asked.began:
                what = f"in {' '.join(name)} it stands before {by}, which had ended before it began"
                yield Finding("wrong", "C7", asked.id, what)
            if asked.ended < earliest:
                earliest, by = asked.ended, asked.id


def check_reads(evidence: Evidence) -> Iterator[Finding]:
    """C7: every balance that was told, by a read or by a refusal, was there at some moment of the call."""
    spans = {name: _spans(ledger, evidence) for name, ledger in _all_books(evidence).items()}
    for asked in evidence.calls:
        for name, balance, until in _seen(asked):
            held = spans.get(name, {0: [(0.0, NEVER)]}).get(balance, [])
            if not any(begins <= until and ends >= asked.began for begins, ends in held):
                what = f"{asked.method} saw {balance} in {' '.join(name)}, where that never was during the call"
                yield Finding("wrong", "C7", asked.id, what)
        yield from _lying(asked)
        yield from _miscounted(asked, evidence)


def _all_books(evidence: Evidence) -> Books:
    """Of accounts that nobody paid into, too."""
    accounts = {("account", str(row["account_id"])): list[Line]() for row in evidence.tables["accounts"]}
    return accounts | dict(books_of(evidence))


def _spans(ledger: list[Line], evidence: Evidence) -> Spans:
    """When which balance may have stood: from when its line was begun until the next one had ended."""
    booked = [_when(line, evidence) for line in ledger]
    begins, ends = [0.0, *(began for began, _ in booked)], [*(ended for _, ended in booked), NEVER]
    found: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for balance, began, ended in zip([0, *(line.balance for line in ledger)], begins, ends, strict=True):
        found[balance].append((began, ended))
    return found


def _when(line: Line, evidence: Evidence) -> tuple[float, float]:
    """Between which moments a line was booked."""
    asked = evidence.asked.get(line.mark)
    return (0.0, NEVER) if asked is None or not asked.invokes else (asked.began, asked.ended)


def _seen(asked: Asked) -> Iterator[tuple[tuple[str, str], int, float]]:
    """The balances that a call was told, of what, and until when it may have seen them."""
    args = asked.args
    account = ("account", str(args.get("account_id", args.get("source_id"))))
    credit = ("credits", str(args.get("user_id")))
    for line in asked.answers:
        if line["what"] == "ok" and asked.method == "accounts.get_account" and line["result"] is not None:
            yield account, line["result"]["balance"], line["mono"]
        if line["what"] == "ok" and asked.method == "accounts.list_entries" and line["result"]:
            yield account, line["result"][0]["balance"], line["mono"]  # its newest
        if line["what"] == "ok" and asked.method == "platform.get_credits":
            yield credit, line["result"], line["mono"]
        error = refusal(line)
        if error is not None and error["error"] == "InsufficientCredits":
            of = credit if asked.method == "platform.spend_credits" else account
            yield of, error["details"]["balance"], line["mono"]


def _lying(asked: Asked) -> Iterator[Finding]:
    """Refusals for want of money that was there."""
    for line in asked.answers:
        error = refusal(line)
        if error is not None and error["error"] == "InsufficientCredits":
            details = error["details"]
            if details["balance"] >= details["cost"]:
                yield Finding("wrong", "C7", asked.id, f"{asked.method} was refused for want of money: {details}")


def _miscounted(asked: Asked, evidence: Evidence) -> Iterator[Finding]:
    """Looks that missed what had ended before, or saw what nobody had begun."""
    if asked.method != "chaos.look":
        return
    marked = evidence.asked.get(asked.args["mark"], asked)
    is_mark = bool(marked.invokes) and marked.is_write
    for line in asked.answers:
        least, most = int(is_mark and marked.ended < asked.began), int(is_mark and marked.began < line["mono"])
        if line["what"] == "ok" and not least <= line["result"] <= most:
            yield Finding("wrong", "C7", asked.id, f"chaos.look saw {marked.id} {line['result']} times")


def check_claims(evidence: Evidence) -> Iterator[Finding]:
    """C8: each task was claimed at most once, by the one whose it is, and whoever was told a task has it."""
    claims = evidence.tables["claims"]
    for task_id, count in Counter(claim["task_id"] for claim in claims).items():
        if count > 1:
            yield Finding("doubled", "C8", str(task_id), f"it was claimed {count} times")
    owners = {task["task_id"]: task["claimed_by"] for task in evidence.tables["tasks"]}
    for claim in claims:
        if (owner := owners.get(claim["task_id"])) != claim["mark"]:
            yield Finding("wrong", "C8", claim["mark"], f"it claimed task {claim['task_id']}, which is {owner}'s")
    claimed = {claim["mark"]: claim["task_id"] for claim in claims}
    for asked in evidence.writes:
        for line in asked.done if asked.method == "chaos.claim" else ():
            if "result" in line and line["result"] != claimed.get(asked.id):
                what = f"it was told task {line['result']}, and has {claimed.get(asked.id)}"
                yield Finding("wrong", "C8", asked.id, what)
