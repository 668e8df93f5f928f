"""What a seed decides: which faults a run has, and in which order."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

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
    for name in [*LARGE, *SMALL_S, "kill"]:
        assert callable(getattr(Deeds, name.replace("-", "_")))
