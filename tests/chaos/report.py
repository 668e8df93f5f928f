"""What is printed in the end: the deeds, the figures, the findings, and one line that says it all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.chaos.checker import Finding, check, judged_alarms
from tests.chaos.enough import too_little
from tests.chaos.evidence import Evidence
from tests.chaos.figures import IMPATIENT_S, figures
from tests.chaos.plan import Plan

KINDS = ("lost", "doubled", "wrong", "unexplained")
FAILURES = {"Unavailable", "DeadlineExceeded", "Disconnected"}
SHOWN = 40
TIMED = {"C16"}
"""The checks that say how soon something has to happen."""


def report(plan: Plan, trouble: Sequence[str]) -> tuple[list[str], bool]:
    """The lines to print, and whether the run was good."""
    evidence, findings = Evidence(plan.folder), check(plan.folder)
    if not plan.judge_times:
        findings = [finding for finding in findings if finding.check not in TIMED]
    judged = figures(plan.folder, evidence)
    trouble = [*trouble, *too_little(plan, evidence)]
    deeds = Counter(str(deed["fault"]) for deed in evidence.deeds)
    points = {point: times for point, times in sorted(evidence.deaths.items()) if point.startswith("K")}
    said = [
        "faults: " + ", ".join(f"{times} {fault}" for fault, times in sorted(deeds.items())),
        "crash points: " + (", ".join(f"{times} {point}" for point, times in points.items()) or "none"),
        f"alarms judged: {len(judged_alarms(evidence.deeds))} of {deeds['alarm']}",
        *(figure.text for figure in judged),
        *(f"{found.kind} [{found.check}] {found.id}: {found.what}" for found in findings[:SHOWN]),
        *([f"… and {len(findings) - SHOWN} more findings"] if len(findings) > SHOWN else []),
        *(f"the rig: {what}" for what in trouble[:SHOWN]),
        *([f"… and {len(trouble) - SHOWN} more troubles of the rig"] if len(trouble) > SHOWN else []),
        last_line(plan, evidence, findings),
    ]
    timely = not plan.judge_times or all(figure.holds for figure in judged)
    return said, not findings and not trouble and timely


def last_line(plan: Plan, evidence: Evidence, findings: Sequence[Finding]) -> str:
    """What a run comes to."""
    found = Counter(finding.kind for finding in findings)
    patient = [asked for asked in evidence.asked.values() if asked.timeout_s > IMPATIENT_S]
    failed = sum(any(_failed(line) for line in asked.heard) for asked in patient)
    counted = " ".join(f"{kind}={found[kind]}" for kind in KINDS[:3])
    return (
        f"calls={len(evidence.asked)} kills={evidence.deaths.total()} {counted}"
        f" failed={failed} unexplained={found['unexplained']} seed={plan.seed}"
    )


def _failed(line: dict[str, object]) -> bool:
    """Whether a caller was told what nobody would be told without faults; the outcome is known all the same."""
    return line["what"] == "unknown" or (line["what"] == "error" and line["code"] in FAILURES)
