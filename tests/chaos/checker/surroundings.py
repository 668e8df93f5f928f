"""C13 and C15: an answer is about what was asked, logs keep calls to themselves, and what was taken is given back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from tests.chaos.checker.evidence import Asked, Evidence, Row
from tests.chaos.checker.findings import Finding
from tests.chaos.workload import CANARY

BESIDE_POOL = 2
"""A worker's sessions with PostgreSQL beside its pool: the relay's, and one that is being made."""
SPARE_FDS = 8


def check_isolation(evidence: Evidence) -> Iterator[Finding]:
    """C13: nobody is told of what is another's, and no log quotes an argument."""
    for asked in evidence.calls:
        for told in _told(asked):
            if told["account_id"] != asked.args["account_id"]:
                what = f"it asked for {asked.args['account_id']}, and was told of {told['account_id']}"
                yield Finding("wrong", "C13", asked.id, what)
    for log in sorted(evidence.logs.glob("*.log")):
        with log.open(errors="replace") as lines:
            if any(CANARY in line for line in lines):
                yield Finding("wrong", "C13", log.name, "the log tells what was in a call")


def _told(asked: Asked) -> Iterator[Row]:
    """What somebody was told of the one account that he asked for: itself, or its entries."""
    results = (line["result"] for line in asked.answers if line.get("result"))
    if asked.method == "accounts.get_account":
        yield from results
    elif asked.method == "accounts.list_entries":
        yield from chain.from_iterable(results)


def check_leaks(evidence: Evidence) -> Iterator[Finding]:
    """C15: connections, channels, queues and open files are what they were before the load, and none in the end."""
    if not evidence.leaks:
        return
    before, after, stopped = (evidence.leaks[when] for when in ("baseline", "end", "stopped"))
    for name in ("connections", "channels"):
        if after[name] > before[name]:
            yield _leak(name, f"{after[name]} of them, and {before[name]} before the load")
        if stopped[name]:
            yield _leak(name, f"{stopped[name]} of them after everybody had gone")
    for name in sorted(after["queues"].keys() - before["queues"].keys()):
        yield _leak(name, "a queue that was not there before the load")
    for name, count in stopped["backends"].items():
        yield _leak(name, f"{count} of its sessions with PostgreSQL after everybody had gone")
    yield from _grown(before, after, evidence.about)


def _grown(before: dict[str, Any], after: dict[str, Any], about: Any) -> Iterator[Finding]:
    """What may grow with the load, and more than that."""
    pool = about["pool_size"]
    sessions, most = after["backends"].get("rowcall worker", 0), about["workers"] * (pool + BESIDE_POOL)
    if sessions > most:
        yield _leak("rowcall worker", f"{sessions} sessions with PostgreSQL, where {most} are allowed")
    for name, count in after["fds"].items():
        if count > before["fds"].get(name, count) + pool + SPARE_FDS:
            yield _leak(name, f"{count} open files, and {before['fds'][name]} before the load")


def _leak(name: str, what: str) -> Finding:
    return Finding("wrong", "C15", name, what)
