"""``python -m tests.chaos.worker``: a worker with the bug that ``ROWCALL_PLANT`` names, for tests of the checker."""

from __future__ import annotations

import sys

from tests.chaos.plants import plant
from worker.__main__ import main

if __name__ == "__main__":
    plant(client=False)
    sys.exit(main())
