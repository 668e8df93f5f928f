"""``python -m tests.chaos``: one run, judged. ``make chaos DURATION=180 SEED=7`` is the same."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos import rig
from tests.chaos.plan import RATE, Plan
from tests.chaos.report import report


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=180.0, help="for how long there is load, in seconds")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="decides the faults and the calls")
    parser.add_argument("--rate", type=float, default=RATE, help="calls a second, of all clients together")
    parser.add_argument("--without", default="", help="faults that shall not happen, comma-separated")
    parser.add_argument("--only", default="", help="the faults that shall, comma-separated")
    parser.add_argument("--no-times", action="store_true", help="print the figures, but do not judge by them")
    parser.add_argument("--folder", type=Path, help="where everything of the run is kept; unset: only if it failed")
    return parser.parse_args()


def main() -> int:
    """Run, judge, print. 0 only if nothing was lost, doubled, wrong or unexplained."""
    given = options()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="rowcall-chaos-"))
    print(f"seed {given.seed}, {given.duration:g} s, {folder}", flush=True)
    plan = Plan(
        seed=given.seed,
        duration_s=given.duration,
        folder=folder.resolve(),
        rate=given.rate,
        without=_words(given.without),
        only=_words(given.only) or None,
        judge_times=not given.no_times,
    )
    trouble = asyncio.run(rig.run(plan))
    said, good = report(plan, trouble)
    if good and given.folder is None:
        shutil.rmtree(folder)
    else:
        said.insert(-1, f"everything is in {folder}")
    print("\n".join(said))
    return 0 if good else 1


def _words(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.split(",") if word.strip())


if __name__ == "__main__":
    sys.exit(main())
