"""``python -m tests.chaos.planted NAME …``: a short run with each of these bugs, and what of it the checker finds.

``--table`` runs them all and prints the table of docs/chaos.md. 0 only if each was caught by the check that should.
With ``--sound`` everything is the same but for the bug: then 0 only if that check finds nothing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.chaos import rig
from tests.chaos.checker import check
from tests.chaos.plan import Plan
from tests.chaos.plants import PLANTS, SOUND, Plant

DURATION_S, SEED = 18.0, 1


@dataclass(frozen=True, slots=True)
class Caught:
    """What the checker said of a run with a bug."""

    plant: Plant
    found: Counter[tuple[str, str]]
    """How often which kind, by which check."""

    @property
    def as_it_should(self) -> bool:
        return any(number == self.plant.caught_by for _, number in self.found)

    @property
    def row(self) -> str:
        """Of the table, by how much was found."""
        checks = Counter[str]()
        for (_, number), times in self.found.items():
            checks[number] += times
        others = [name for name, _ in checks.most_common() if name != self.plant.caught_by]
        said = f"**{self.plant.caught_by}**" if self.as_it_should else "not caught"
        return f"| `{self.plant.name}` | {self.plant.what} | {', '.join([said, *others])} |"


def run_with(plant: Plant, seed: int, folder: Path, *, sound: bool) -> Caught:
    """Make a short run with this bug, or as for it, and check it."""
    plan = Plan(
        **{
            "seed": seed,
            "duration_s": DURATION_S,
            "folder": folder,
            "plant": f"{SOUND}{plant.name}" if sound else plant.name,
            "only": frozenset(plant.faults.split(",")),
            "without": frozenset({"poison"}),
            "judge_times": False,
            **plant.plan,
        }
    )
    uvloop.run(rig.run(plan))  # what a broken build leaves undone is the checker's to find
    return Caught(plant, Counter((finding.kind, finding.check) for finding in check(folder)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos.planted", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *PLANTS], metavar="NAME", help=", ".join(PLANTS))
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--table", action="store_true", help="all of them, as the table of docs/chaos.md")
    parser.add_argument("--sound", action="store_true", help="without the bugs")
    parser.add_argument("--keep", type=Path, help="where the runs' folders stay")
    given = parser.parse_args()
    names = list(PLANTS) if given.table else given.names
    print("| planted bug | what is wrong | caught by |\n|---|---|---|", flush=True)
    missed = 0
    for name in names:
        kept = Path(given.keep or tempfile.mkdtemp(prefix="rowcall-planted-")) / name
        caught = run_with(PLANTS[name], given.seed, kept.resolve(), sound=given.sound)
        print(caught.row, flush=True)
        missed += caught.as_it_should is given.sound
        if given.keep is None:
            shutil.rmtree(kept.parent)
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
