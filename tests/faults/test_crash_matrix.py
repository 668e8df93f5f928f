"""A worker is killed at every step of a call: what it leaves behind happens once, and is answered.

Every day at six of the twelve steps, the first and the last, those about the commit, and those of the relay; each kind
of write and each way is among them. All twelve, and then every kind in every way at each, are in the heavy tier.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.crash_scene import WAYS, Case, Stage
from worker.crash_points import POINTS
from worker.settings import WorkerSettings

KINDS = ("statement", "story", "group")
REPEATS = 3


@pytest.fixture
def stage(base_settings: WorkerSettings, migrated: str, tmp_path: Path) -> Stage:
    return Stage(base_settings, migrated, tmp_path, at_once=3)


# Every point once, every kind in every way; and where PostgreSQL is still at work for the dead, in each way too.
EVERY_POINT = [Case(point, KINDS[(n + n // 3 + 2) % 3], WAYS[n % 3]) for n, point in enumerate(POINTS)]
EVERY_DAY = {"K0", "K4", "K5", "K6", "K10", "K11"}
FEW = [pytest.param(case, marks=[] if case.point in EVERY_DAY else pytest.mark.heavy) for case in EVERY_POINT]


@pytest.mark.timeout(240)  # three processes start, one after the other, on a machine that may be busy
@pytest.mark.parametrize("case", FEW, ids=str)
async def test_a_worker_killed_at_any_step_leaves_each_effect_once(stage: Stage, case: Case):
    await stage.play([case])


@pytest.mark.heavy
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", POINTS)
async def test_every_step_of_every_kind_of_write_in_every_way_leaves_each_effect_once(stage: Stage, point, kind):
    await stage.play([Case(point, kind, way) for way in WAYS] * REPEATS)
