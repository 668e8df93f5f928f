"""A worker whose mover of dead letters has a bug."""

from __future__ import annotations

import sys

from worker.__main__ import main
from worker.mover import Mover


async def broken(_: Mover) -> None:
    raise RuntimeError("broken by a test")


Mover.run = broken
sys.exit(main())
