"""Whether a run shows anything: one without load, without its faults or without its evidence has nothing to find."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from tests.chaos.evidence import Evidence
from tests.chaos.folder import Folder, lines
from tests.chaos.nemesis import MUST
from tests.chaos.plan import Plan

LEAST = 1 / 3
"""Of the calls that its rate promises: a slow machine begins fewer, and so does a client that is killed."""
QUEUES = 3
"""Those of reads, of writes and of dead letters."""
MOMENTS = 3
"""Open things are counted before the load, after it, and when everybody has gone."""


def too_little(plan: Plan, evidence: Evidence) -> list[str]:
    """What is missing of it, in words."""
    folder = Folder(plan.folder)
    return [*_load(plan, evidence), *_faults(plan, evidence), *_replays(folder), *_files(folder)]


def _load(plan: Plan, evidence: Evidence) -> Iterator[str]:
    least = plan.rate * plan.duration_s * LEAST
    if len(evidence.asked) < least:
        yield f"only {len(evidence.asked)} calls, where {least:.0f} are the least"
    callers = {asked.client for asked in evidence.asked.values()}
    for number in sorted({*range(plan.clients)} - callers):
        yield f"client-{number} asked for nothing"


def _faults(plan: Plan, evidence: Evidence) -> Iterator[str]:
    if plan.wants("kill") and not evidence.done("kill"):
        yield "no worker was killed"
    for fault in MUST:
        if plan.wants(fault) and not evidence.done(fault):
            yield f"{fault} never came"


def _replays(folder: Folder) -> Iterator[str]:
    if not any(line.get("state") == "done" for line in lines(folder.replays)):
        yield "no dead letter was replayed and done"


def _files(folder: Folder) -> Iterator[str]:
    """What a check would have found nothing in, because there was nothing."""
    for name, least in (("queues.json", QUEUES), ("leaks.json", MOMENTS)):
        path = folder.dump / name
        if not path.exists() or len(orjson.loads(path.read_bytes())) < least:
            yield f"{name} does not tell of {least}"
    for path in (folder.root / "auditor.jsonl", folder.dump / "stream.jsonl"):
        if next(lines(path), None) is None:
            yield f"{path.name} is missing or empty"
