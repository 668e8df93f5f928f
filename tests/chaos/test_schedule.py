"""What a seed decides: which faults a run has, and in which order."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from tests.chaos import nemesis
from tests.chaos.deeds import Deeds
from tests.chaos.nemesis import LARGE, MUST, SMALL_S, Nemesis
from tests.chaos.plan import Plan


def order(seed: int, **more: Any) -> list[str]:
    plan = Plan(seed=seed, duration_s=60, folder=Path("nowhere"), **more)
    return Nemesis(plan, cast("Deeds", None)).order()


def test_the_same_seed_gives_the_same_faults_in_the_same_order():
    assert order(7) == order(7)


def test_another_seed_gives_another_order():
    assert len({tuple(order(seed)) for seed in range(20)}) > 10


def test_what_every_run_must_have_comes_first_and_then_everything_else():
    for seed in range(20):
        assert set(order(seed)[: len(MUST)]) == set(MUST)
        assert set(order(seed)[: len(LARGE)]) == set(LARGE)


def test_what_is_left_out_does_not_come():
    assert "alarm" not in order(7, without=frozenset({"alarm"}))


def test_what_alone_is_wanted_comes_again_and_again():
    assert set(order(7, only=frozenset({"kill", "redis-kill"}))) == {"redis-kill"}


def test_every_fault_has_its_deed():
    for name in [*LARGE, *SMALL_S, "kill", "lone-kill"]:
        assert callable(getattr(Deeds, name.replace("-", "_")))


class Noted:
    """Deeds that are only noted; an alarm lasts."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        async def deed(_: Any) -> None:
            self.done.append(name)
            await asyncio.sleep(0.3 if name == "alarm" else 0)
            self.done.append(f"end of {name}")

        return deed


async def done(monkeypatch: pytest.MonkeyPatch, **more: Any) -> list[str]:
    """What a nemesis without pauses does."""
    monkeypatch.setattr(nemesis, "CALM_S", 0.0)
    monkeypatch.setattr(nemesis, "GAP_S", (0.01, 0.01))
    noted = Noted()
    await Nemesis(Plan(seed=7, folder=Path("nowhere"), **more), cast("Deeds", noted)).run()
    return noted.done


async def test_what_every_run_must_have_comes_however_little_time_there_is(monkeypatch: pytest.MonkeyPatch):
    came = await done(monkeypatch, duration_s=0)

    assert {name.replace("-", "_") for name in MUST} == {name for name in came if not name.startswith("end of ")}


async def test_while_an_alarm_lasts_nothing_else_happens(monkeypatch: pytest.MonkeyPatch):
    came = await done(monkeypatch, duration_s=0.7, kill_every_s=0.01, only=frozenset({"alarm", "kill"}))

    assert "kill" in came
    for at, name in enumerate(came):
        if name == "alarm":
            assert "kill" not in came[at : came.index("end of alarm", at)]


async def test_after_each_round_of_large_faults_workers_are_killed_alone_for_a_while(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nemesis, "ALONE_S", 0.1)
    came = await done(
        monkeypatch, duration_s=1.5, kill_every_s=0.01, only=frozenset({"redis-kill", "kill", "lone-kill"})
    )

    first = came.index("lone_kill")
    after = came[first : came.index("redis_kill", first)]
    last = len(after) - after[::-1].index("lone_kill")
    assert "redis_kill" in came[:first]
    assert after.count("lone_kill") > 2
    assert "kill" not in after[:last]
    assert "kill" in came[:first] + after[last:]
