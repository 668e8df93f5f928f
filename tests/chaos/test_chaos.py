"""The chaos rig as a test: a minute of it in every run of the tests, more in the long one, and seeds that ever failed.

No times are judged here: `make chaos` does that, on a machine that has nothing else to do.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT_S, LONG_S = 60, 180
SELDOM = "45"
"""Calls a second, where other tests run beside it."""
MOST_S = 900
"""For all that belongs to a run: its servers, its load, its peace, and the judgement."""
ENDING_S = 60
"""Of that, so long to see that nothing is left of a run that takes too long."""
FAILED_ONCE = [2026]
"""Seeds of runs that once ended badly, of whatever length."""


async def run(seed: int, duration_s: int, folder: Path, *options: str) -> list[str]:
    """What a run printed, if it was good."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.chaos", "--no-times"),
        *("--seed", str(seed), "--duration", str(duration_s), "--folder", str(folder)),
        *options,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(MOST_S - ENDING_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    said = output.decode()
    print(said)
    assert process.returncode == 0, said.splitlines()[-1]
    return said.splitlines()


@pytest.mark.timeout(MOST_S)
async def test_a_minute_of_chaos_loses_nothing_and_doubles_nothing(tmp_path: Path):
    *_, last = await run(7, SHORT_S, tmp_path / "run", "--rate", SELDOM)

    assert "lost=0 doubled=0 wrong=0" in last
    assert "unexplained=0 seed=7" in last


@pytest.mark.heavy
@pytest.mark.timeout(MOST_S)
@pytest.mark.parametrize("seed", [11, 23, 42, *FAILED_ONCE])
async def test_three_minutes_of_chaos_lose_nothing_and_double_nothing(seed: int, tmp_path: Path):
    await run(seed, LONG_S, tmp_path / "run")
