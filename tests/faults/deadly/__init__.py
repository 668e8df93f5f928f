"""A family whose methods end the worker that runs them, where the environment says ``DEADLY=1``."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pydantic import BaseModel, field_serializer

from rpc_client.contract import EventData, Service, read, write
from worker.database import Session, Transaction
from worker.registry import Family, Registry


def burn(armed: bool) -> bool:
    """End this process if it is a worker that shall die of what is armed."""
    if armed and os.environ.get("DEADLY"):
        os.kill(os.getpid(), signal.SIGKILL)
    return armed


class Fuse(BaseModel):
    """Goes off when it is written for the database: while the call runs, also where no Python of a family does."""

    armed: bool = False

    @field_serializer("armed")
    def when_written(self, armed: bool) -> bool:
        return burn(armed)


class Noted(EventData, aggregate="key"):
    """A key was noted."""

    times: int


class Deadly(Service, name="deadly"):
    """Work that may end its worker."""

    @read
    async def look(self, key: str, armed: bool = False) -> int:
        """How often the key has been noted."""

    @write(locks="key", emits=[Noted])
    async def note(self, key: str, fuse: Fuse) -> int:
        """Note the key and return how often it has been. May run in a group. Emits Noted."""

    @write(emits=[Noted])
    async def note_alone(self, key: str, fuse: Fuse) -> int:
        """The same, never in a group. Emits Noted."""

    @write(emits=[Noted])
    async def tell(self, key: str, armed: bool = False) -> int:
        """The same as a story. Emits Noted."""


deadly = Registry(Deadly)
deadly.direct(Deadly.note, Deadly.note_alone)


@deadly.implements(Deadly.look)
async def look(session: Session, key: str, armed: bool = False) -> int:
    times = await session.value(int, "deadly.times", key=key)
    burn(armed)
    return times


@deadly.implements(Deadly.tell)
async def tell(tx: Transaction, key: str, armed: bool = False) -> int:
    times = await tx.value(int, "deadly.add", key=key)
    burn(armed)
    tx.emit(key, Noted(times=times))
    return times


family = Family(deadly, sql=Path(__file__).parent / "sql")
