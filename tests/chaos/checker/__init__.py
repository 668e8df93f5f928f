"""The checker: what a run left behind, compared with what its clients were told. No worker's word is believed.

Each check is a function from `Evidence` to findings, and has the number by which reports name it:

==== =============================================================================================
C1   what the broker confirmed has a receipt, a dead letter, or lies in a queue
C2   what was answered ``ok`` left its receipt and all its effects
C3   what was answered an error left no effect
C4   what ``outcome`` said is what the tables say; what was fenced never ran
C5   no effect stands twice
C6   money is neither made nor destroyed, and no account is ever below zero
C7   what ended before something else began comes before it; every read saw a state that there was
C8   a task has one claimant
C9   the record holds the events of what committed, no others, in the order of each aggregate
C10  an id has one outcome, and nothing has an id that nobody asked for
C11  nothing commits after its deadline
C12  every dead letter has a cause, and holds what was sent; all were replayed twice, and the rest holds all the same
C13  nobody reads of what is another's, and no log tells what was in a call
C14  in the end everything is decided, and no queue holds a call
C15  nothing leaks
C16  while the broker is in an alarm, what it has is worked off
==== =============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tests.chaos.checker.effects import check_done, check_doubled, check_errors
from tests.chaos.checker.events import check_events
from tests.chaos.checker.evidence import Evidence
from tests.chaos.checker.findings import Finding
from tests.chaos.checker.letters import check_letters
from tests.chaos.checker.lost import check_alarms, check_confirmed, check_decided, judged_alarms
from tests.chaos.checker.money import check_money
from tests.chaos.checker.order import check_claims, check_order, check_reads
from tests.chaos.checker.outcomes import check_deadlines, check_fences, check_one_outcome, check_strangers
from tests.chaos.checker.replies import check_replies
from tests.chaos.checker.surroundings import check_isolation, check_leaks

__all__ = ["CHECKS", "Evidence", "Finding", "check", "judged_alarms"]

CHECKS: tuple[Callable[[Evidence], Iterable[Finding]], ...] = (
    check_confirmed,
    check_done,
    check_errors,
    check_fences,
    check_doubled,
    check_money,
    check_order,
    check_reads,
    check_claims,
    check_events,
    check_one_outcome,
    check_strangers,
    check_replies,
    check_deadlines,
    check_letters,
    check_isolation,
    check_decided,
    check_alarms,
    check_leaks,
)


def check(run: Path) -> list[Finding]:
    """Everything that is wrong with a run; nothing, if it is as it should be."""
    evidence = Evidence.read(run)
    return [finding for one in CHECKS for finding in one(evidence)]
