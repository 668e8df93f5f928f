"""Figures are read from what a run left, and from nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.evidence import Evidence
from tests.chaos.figures import Figure, figures
from tests.chaos.folder import Folder
from tests.chaos.plan import Plan
from tests.chaos.report import last_line
from worker.suspects import BEGINS, DECIDES

NOW = 1_790_000_000.0
"""The hour in which these runs began, by both clocks: monotonic time is the same minus this."""


class Run:
    """A run as it might have been, written down by hand."""

    def __init__(self, root: Path) -> None:
        self.folder = Folder(root)
        self.folder.make()
        self.folder.run.write_text(json.dumps({"seed": 7, "started_at": NOW, "mono": 0.0}))

    def took_calls(self, worker: int, start: float, end: float) -> None:
        """A worker that took calls from when to when."""
        log = f"worker-{worker}-1.log"
        self._add(self.folder.crew, {"what": "start", "name": f"worker-{worker}", "pid": worker, "log": log})
        self._add(self.folder.crew, {"what": "end", "name": f"worker-{worker}", "pid": worker, "mono": end})
        at = datetime.fromtimestamp(NOW + start, UTC).isoformat()
        self._add(self.folder.logs / log, {"event": "consuming", "timestamp": at})

    def did(self, fault: str, mono: float, until: float | None = None, target: str = "worker-0") -> None:
        line = {"fault": fault, "target": target, "pid": 0, "mono": mono, "until": mono if until is None else until}
        self._add(self.folder.nemesis, line)

    def asked(self, id_: str, mono: float, ended: float, method: str = "accounts.deposit", **heard: Any) -> None:
        history = self.folder.history / "client-0.jsonl"
        invoke = {"what": "invoke", "id": id_, "method": method, "kind": "call", "mono": mono}
        self._add(
            history, invoke | {"client": heard.pop("client", 0), "twin": heard.pop("twin", False), "timeout_s": 25.0}
        )
        self._add(history, {"what": "ok", "id": id_, "mono": ended} | heard)

    def answered(self, id_: str, mono: float, *, redelivered: bool = False, worker: int = 0) -> None:
        at = datetime.fromtimestamp(NOW + mono, UTC).isoformat()
        line = {"event": "call", "id": id_, "method": "m", "outcome": "ok", "redelivered": redelivered, "timestamp": at}
        self._add(self.folder.logs / f"worker-{worker}-1.log", line)

    def said(self, log: str, text: str) -> None:
        with (self.folder.logs / log).open("a") as file:
            file.write(text + "\n")

    def figure(self, what: str) -> Figure:
        evidence = Evidence(self.folder.root)
        (found,) = (one for one in figures(self.folder.root, evidence) if what in one.what)
        return found

    def _add(self, path: Path, line: dict[str, Any]) -> None:
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path)
    for worker in (8, 9):
        run.took_calls(worker, 0.0, 1000.0)
    return run


def test_a_call_in_a_killed_workers_hand_takes_from_the_kill_to_its_answer(run: Run):
    run.did("lone-kill", 10.0)
    run.asked("in its hand", 9.9, 10.4)
    run.answered("in its hand", 10.4, redelivered=True, worker=1)
    run.asked("in another's", 9.9, 11.9)
    run.answered("in another's", 11.9)
    run.asked("later", 10.1, 10.7)
    run.answered("later", 10.7, redelivered=True, worker=1)

    figure = run.figure("SIGKILL")

    assert (figure.value, figure.of) == (pytest.approx(0.4), 1)


def test_what_waited_already_for_another_reason_says_nothing_of_redelivery(run: Run):
    run.did("lone-kill", 10.0)
    run.asked("waited", 8.0, 12.0)
    run.answered("waited", 12.0, redelivered=True, worker=1)

    assert run.figure("SIGKILL").of == 0


def test_what_no_worker_took_up_again_took_without_end(run: Run):
    run.did("lone-kill", 10.0)
    run.asked("nobody's", 9.9, 34.9, what="unknown")
    run.asked("answered, and its line in the log lost with the worker", 9.9, 10.01)

    figure = run.figure("SIGKILL")

    assert (figure.value, figure.of) == (inf, 1)


def test_what_was_asked_for_twice_at_once_says_nothing_of_redelivery(run: Run):
    run.did("lone-kill", 10.0)
    run.asked("twice", 9.9, 10.4, twin=True)
    run.answered("twice", 10.4, redelivered=True, worker=1)

    assert run.figure("SIGKILL").of == 0


def test_what_is_late_counts_from_the_first_kill_that_it_met(run: Run):
    run.did("lone-kill", 10.0)
    run.did("lone-kill", 13.0)
    run.asked("late", 9.9, 13.2)
    run.answered("late", 13.2, redelivered=True, worker=1)

    figure = run.figure("SIGKILL")

    assert figure.value == pytest.approx(3.2)
    assert not figure.holds


@pytest.mark.parametrize(("second", "seen"), [(10.5, 0), (11.5, 1)])
def test_a_kill_beside_which_another_worker_ends_says_nothing_of_redelivery(tmp_path: Path, second: float, seen: int):
    run = Run(tmp_path)
    run.took_calls(1, 0.0, 10.02)
    run.took_calls(2, 0.0, second)
    run.did("lone-kill", 10.0, target="worker-1")
    run.asked("in its hand", 9.9, 13.4)
    run.answered("in its hand", 13.4, redelivered=True, worker=3)

    assert run.figure("SIGKILL").of == seen


def test_a_kill_among_other_faults_says_nothing_of_redelivery(run: Run):
    run.did("kill", 10.0)
    run.asked("in its hand", 9.9, 10.4)
    run.answered("in its hand", 10.4, redelivered=True, worker=1)

    assert run.figure("SIGKILL").of == 0


def test_the_first_good_call_after_a_server_accepts_again_is_counted_from_there(run: Run):
    run.did("postgres-kill", 10.0, 12.0)
    run.asked("before", 9.0, 9.1)
    run.asked("after", 11.0, 14.5)

    figure = run.figure("PostgreSQL")

    assert figure.value == pytest.approx(2.5)
    assert not figure.holds


def test_a_silent_peer_is_noticed_when_the_brokers_log_says_so(run: Run):
    run.did("worker-cut", 10.0, 30.0)
    at = datetime.fromtimestamp(NOW + 23, UTC).isoformat(sep=" ", timespec="microseconds")
    run.said("rabbitmq.log", f"{at} [error] <0.9.0> closing AMQP connection <0.9.0> (…):")
    run.said("rabbitmq.log", f"{at} [error] <0.9.0> missed heartbeats from client, timeout: 5s")

    assert run.figure("silent peer").value == pytest.approx(13.0)


@pytest.mark.parametrize(("end", "holds"), [(12.0, True), (31.0, False)])
def test_a_cut_peer_that_ends_is_not_silent(run: Run, end: float, holds: bool):
    run.took_calls(0, 1.0, end)
    run.did("worker-cut", 10.0, 30.0)

    assert run.figure("silent peer").holds is holds


def test_what_never_came_took_without_end(run: Run):
    run.did("worker-cut", 10.0, 30.0)
    run.did("black-hole", 40.0, 46.0)
    run.did("lone-kill", 60.0)
    run.asked("never answered", 59.9, 85.0, what="unknown")
    run.answered("never answered", 60.4, redelivered=True, worker=1)

    never = [run.figure(what) for what in ("silent peer", "black hole", "SIGKILL")]

    assert [(figure.value, figure.holds) for figure in never] == [(inf, False)] * 3


@pytest.mark.parametrize("done", ["client-kill", "cut"])
def test_who_was_killed_or_cut_himself_says_nothing_of_the_worker(run: Run, done: str):
    run.did("lone-kill", 10.0)
    run.did(done, 10.1, target="client-3 amqp_url" if done == "cut" else "client-3")
    run.asked("his", 9.9, 20.0, what="unknown", client=3)
    run.answered("his", 10.4, redelivered=True, worker=1)

    assert run.figure("SIGKILL").of == 0


def test_a_frozen_worker_may_come_back_before_anybody_notices(run: Run):
    run.did("freeze", 10.0, 18.0)

    assert run.figure("silent peer").holds


def test_a_black_hole_is_healed_with_the_first_good_call_of_its_own_worker(run: Run):
    run.did("black-hole", 10.0, 16.0, target="worker-1")
    run.answered("another's", 16.1, worker=0)
    run.answered("its own", 18.0, worker=1)

    assert run.figure("black hole").value == pytest.approx(2.0)


@pytest.mark.parametrize(("end", "values"), [(16.5, []), (18.5, [2.0])])
def test_a_worker_that_dies_before_it_could_heal_says_nothing_of_healing(run: Run, end: float, values: list[float]):
    run.took_calls(0, 1.0, end)
    run.did("black-hole", 10.0, 16.0)
    run.answered("its own, or its successor's", 18.0, worker=0)

    figure = run.figure("black hole")

    assert [figure.value] * figure.of == pytest.approx(values)


def test_a_worker_that_died_unhealed_after_the_time_for_it_is_too_late(run: Run):
    run.took_calls(0, 1.0, 21.5)
    run.did("black-hole", 10.0, 16.0)
    run.answered("its successor's", 22.0, worker=0)

    assert not run.figure("black hole").holds


def test_deaths_are_told_apart_by_the_last_words(run: Run):
    run.asked("a-killer", 1.0, 2.0, method="chaos.kill")
    for place in range(4):
        run.said(f"worker-{place}-1.log", '{"event": "dying", "mark": "a-killer"}')
    run.said("worker-4-1.log", "crash point K6")
    run.did("kill", 3.0)

    figure = run.figure("deaths by one call")

    assert (figure.value, figure.holds) == (4, False)
    assert Evidence(run.folder.root).deaths == {"a-killer": 4, "K6": 1, "nemesis": 1}


@pytest.mark.parametrize(("last_words", "beside"), [(['{"event": "dying", "mark": "killer"}'], 1), ([], 0)])
def test_an_innocent_call_may_not_be_taken_for_poison_for_what_ran_beside_it(run: Run, last_words, beside):
    letter = '{"reason": "poison", "method": "accounts.deposit", "id": "innocent"}\n'
    (run.folder.dump / "dead_letters.jsonl").write_text(letter)
    for place, event in enumerate((BEGINS, DECIDES)):
        run.said(f"worker-{place}-1.log", f'{{"id":"innocent","event":"{event}"}}')
    for line in last_words:
        run.said("worker-1-1.log", line)

    figures = [run.figure("another's deaths"), run.figure("itself killed")]

    assert [figure.value for figure in figures] == [beside, 1 - beside]
    assert [figure.holds for figure in figures] == [beside == 0, True]


def test_a_letter_of_poison_of_which_no_worker_says_that_it_ran_is_too_much(run: Run):
    letter = '{"reason": "poison", "method": "accounts.deposit", "id": "innocent"}\n'
    (run.folder.dump / "dead_letters.jsonl").write_text(letter)

    assert not run.figure("another's deaths").holds


def test_a_run_that_was_to_decide_and_did_not_begin_is_none(run: Run):
    letter = '{"reason": "poison", "method": "accounts.deposit", "id": "innocent"}\n'
    (run.folder.dump / "dead_letters.jsonl").write_text(letter)
    for event in (DECIDES, "trying again"):
        run.said("worker-0-1.log", f'{{"id":"innocent","event":"{event}"}}')

    assert not run.figure("another's deaths").holds


def test_a_read_whose_caller_is_told_that_it_is_poison_is_too_much(run: Run):
    run.asked("innocent", 1.0, 2.0, method="accounts.get_account", what="error", reason="poison")
    run.asked("a-killer", 1.0, 2.0, method="chaos.kill_read", what="error", reason="poison")

    assert run.figure("another's deaths").value == 1


def test_without_an_occasion_there_is_nothing_to_judge(run: Run):
    assert run.figure("SIGKILL").holds
    assert "no occasion" in run.figure("SIGKILL").text


def test_the_last_line_tells_everything_in_one(run: Run):
    run.did("kill", 3.0)
    run.asked("fine", 1.0, 2.0)
    run.asked("not so fine", 1.0, 2.0, what="unknown")
    plan = Plan(seed=7, duration_s=60, folder=run.folder.root)

    line = last_line(plan, Evidence(run.folder.root), [])

    assert line == "calls=2 kills=1 lost=0 doubled=0 wrong=0 failed=1 unexplained=0 seed=7"
