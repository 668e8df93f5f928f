"""A run that shows nothing is no good run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos.enough import too_little
from tests.chaos.evidence import Evidence
from tests.chaos.folder import Folder, Journal
from tests.chaos.nemesis import MUST
from tests.chaos.plan import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Of a run that shows something."""
    folder = Folder(tmp_path)
    folder.make()
    folder.run.write_text(json.dumps({"seed": 7, "started_at": 0, "mono": 0}))
    for client in range(2):
        history = Journal(folder.history / f"client-{client}.jsonl")
        history.write(what="started")
        for n in range(2):
            history.write(what="invoke", id=f"{client}/{n}", method="chaos.note", kind="call", client=client)
    nemesis = Journal(folder.nemesis)
    for fault in ("kill", *MUST):
        nemesis.write(fault=fault, target="")
    (folder.dump / "queues.json").write_text(json.dumps({"read": [], "write": [], "dead-letters": []}))
    (folder.dump / "leaks.json").write_text(json.dumps({"baseline": {}, "end": {}, "stopped": {}}))
    Journal(folder.replays).write(what="outcome", id="0/0", state="done", fence=False)
    Journal(tmp_path / "auditor.jsonl").write(least=0)
    Journal(folder.dump / "stream.jsonl").write(entry="1-0")
    return Plan(seed=7, duration_s=12, folder=tmp_path, rate=1, clients=2)


def told(plan: Plan) -> list[str]:
    return too_little(plan, Evidence(plan.folder))


def test_a_run_with_load_and_faults_and_evidence_is_enough(plan: Plan):
    assert told(plan) == []


def test_a_client_that_asked_for_nothing_is_told_and_so_are_too_few_calls(plan: Plan):
    (plan.folder / "history" / "client-1.jsonl").write_text('{"what": "started", "mono": 1}\n')

    assert told(plan) == ["only 2 calls, where 4 are the least", "client-1 asked for nothing"]


def test_a_fault_that_never_came_is_told_unless_nobody_wanted_it(plan: Plan):
    (plan.folder / "nemesis.jsonl").write_text("")

    assert told(plan) == ["no worker was killed", *(f"{fault} never came" for fault in MUST)]
    wanted = Plan(seed=7, duration_s=12, folder=plan.folder, rate=1, clients=2, only=frozenset({"alarm"}))
    assert told(wanted) == ["alarm never came"]


def test_a_run_in_which_no_replay_did_anything_is_told(plan: Plan):
    (plan.folder / "history" / "replays.jsonl").write_text('{"what": "invoke", "id": "0/0"}\n')

    assert told(plan) == ["no dead letter was replayed and done"]


@pytest.mark.parametrize("name", ["dump/queues.json", "dump/leaks.json", "auditor.jsonl", "dump/stream.jsonl"])
@pytest.mark.parametrize("gone", [True, False])
def test_evidence_that_is_missing_or_empty_is_told(plan: Plan, name: str, gone: bool):
    path = plan.folder / name
    path.unlink() if gone else path.write_text("{}" if name.endswith(".json") else "")

    (missing,) = told(plan)
    assert path.name in missing
