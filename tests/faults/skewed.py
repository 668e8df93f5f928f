"""A program whose clock is wrong: ``python -m tests.faults.skewed SECONDS -m worker`` runs ``python -m worker`` so.

Only ``time.time``, on which every deadline here rests, and the moments inside new UUIDv7 are shifted, before anything
else is imported. The monotonic clock is left alone, as it is when somebody sets a machine's clock, and so are the
stamps in logs.
"""

from __future__ import annotations

import runpy
import sys
import time
from uuid import UUID

import uuid_utils


def skew(seconds: float) -> None:
    """Set this process's clock."""
    right, uuid7 = time.time, uuid_utils.uuid7

    def wrong() -> float:
        return right() + seconds

    def of_that_moment() -> UUID:
        return UUID(int=int(wrong() * 1000) << 80 | int(uuid7()) & (1 << 80) - 1)

    time.time, uuid_utils.uuid7 = wrong, of_that_moment


if __name__ == "__main__":
    _, seconds, _, module, *arguments = sys.argv
    skew(float(seconds))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
