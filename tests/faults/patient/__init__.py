"""A family that takes its time: statements that sleep, and writes that lock in whatever order they are told."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from rpc_client.contract import AsyncService, Service, read, write
from worker.database import Session, Transaction
from worker.registry import Family, Registry

STANDS = "stands at the gate"
"""What a worker says there."""


class Patient(Service, name="patient"):
    """Work that lasts."""

    @read(slow=True)
    async def nap(self, ms: int) -> int:
        """Sleep in one statement."""

    @read
    async def doze(self, ms: int) -> int:
        """The same, though it does not say that it is slow."""

    @read(slow=True)
    async def dream(self, ms: int) -> int:
        """The same as a story."""

    @read(slow=True)
    async def stay(self) -> int:
        """Wait, in one statement, for a lock that the test holds."""

    @read(slow=True)
    async def linger(self) -> int:
        """The same as a story."""

    @write(emits=[])
    async def note(self, key: str) -> int:
        """Count a key up, in one statement; how often it was noted."""

    @write(emits=[])
    async def note_both(self, first: str, second: str, ms: int) -> int:
        """Count two keys up in this order, with a pause between; how often the second was noted."""

    @write(emits=[])
    async def ponder(self, key: str, ms: int) -> int:
        """Count a key up, and do nothing for a while in the middle of the transaction."""

    @write(emits=[])
    async def hog(self, key: str) -> int:
        """Count a key up; a worker whose environment names a ``GATE`` stands before it until that file is there."""


class AsyncPatient(Patient, AsyncService):
    """Every method as an ``async def``."""


patient = Registry(Patient)
patient.direct(Patient.nap, Patient.doze, Patient.stay, Patient.note)


@patient.implements(Patient.dream)
async def dream(db: Session, ms: int) -> int:
    return await db.value(int, "patient.sleep", ms=ms)


@patient.implements(Patient.linger)
async def linger(db: Session) -> int:
    return await db.value(int, "patient.wait")


@patient.implements(Patient.note_both)
async def note_both(tx: Transaction, first: str, second: str, ms: int) -> int:
    await tx.value(int, "patient.count_up", key=first)
    await tx.value(int, "patient.sleep", ms=ms)
    return await tx.value(int, "patient.count_up", key=second)


@patient.implements(Patient.ponder)
async def ponder(tx: Transaction, key: str, ms: int) -> int:
    times = await tx.value(int, "patient.count_up", key=key)
    await asyncio.sleep(ms / 1000)
    return times


@patient.implements(Patient.hog)
async def hog(tx: Transaction, key: str) -> int:
    stand()
    return await tx.value(int, "patient.count_up", key=key)


def stand() -> None:
    """Let nothing else of this process go on, as code does that waits without ``await``."""
    gate = os.environ.get("GATE")
    if gate is not None:
        sys.stderr.write(f"{STANDS}\n")
        sys.stderr.flush()
        while not Path(gate).exists():
            time.sleep(0.05)


family = Family(patient, sql=Path(__file__).parent / "sql")
