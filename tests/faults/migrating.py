"""``python -m tests.faults.migrating URL FOLDER``: brings a database up to date with the migrations of a folder."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic import SecretStr

from tests.faults.patient import patient
from worker.migrations import migrate
from worker.registry import Family
from worker.settings import WorkerSettings


async def bring_up(url: str, folder: Path) -> list[str]:
    """What was applied."""
    return await migrate(WorkerSettings(postgres_url=SecretStr(url)), [Family(patient, sql=folder)])


if __name__ == "__main__":
    asyncio.run(bring_up(sys.argv[1], Path(sys.argv[2])))
