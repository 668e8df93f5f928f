"""How the ``chaos`` family answers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from rpc_client.errors import Conflict
from tests.chaos.family.contract import Chaos, Noted
from worker.database import Session, Transaction
from worker.registry import Family, Registry

OVERRUN_S = 5.0

chaos = Registry(Chaos)
chaos.direct(Chaos.note, Chaos.offer, Chaos.claim, Chaos.look)


async def leave(tx: Transaction, mark: str, kind: str) -> int:
    """The mark, and the event that tells of it: whoever fails after this must leave neither."""
    times = await tx.value(int, "chaos.leave", mark=mark, kind=kind)
    tx.emit(mark, Noted(kind=kind))
    return times


@chaos.implements(Chaos.refuse)
async def refuse(tx: Transaction, mark: str) -> int:
    await leave(tx, mark, "refuse")
    raise Conflict(f"{mark} is refused", {"mark": mark})


@chaos.implements(Chaos.trip)
async def trip(tx: Transaction, mark: str) -> int:
    times = await leave(tx, mark, "trip")
    return times if mended() else times // 0


@chaos.implements(Chaos.linger)
async def linger(tx: Transaction, mark: str, ms: int) -> int:
    times = await leave(tx, mark, "linger")
    await tx.value(int, "chaos.rest", seconds=ms / 1000)
    return times


@chaos.implements(Chaos.overrun)
async def overrun(tx: Transaction, mark: str) -> int:
    times = await leave(tx, mark, "overrun")
    await tx.value(int, "chaos.rest", seconds=OVERRUN_S)
    return times


@chaos.implements(Chaos.kill)
async def kill(tx: Transaction, mark: str) -> int:
    await leave(tx, mark, "kill")
    return die(mark)


@chaos.implements(Chaos.kill_read)
async def kill_read(_: Session, mark: str) -> int:
    return die(mark)


def mended() -> bool:
    """Whether the bugs of this family are no more, as they should not be when its dead letters are replayed."""
    return os.environ.get("CHAOS_MENDED") == "1"


def die(mark: str) -> int:
    """End this very process, where it is a worker that was started to be killed. Its last words say who did it."""
    if mended():
        return 1
    if os.environ.get("ROWCALL_TEST_HOOKS") != "1":
        raise RuntimeError("this process was not started to be killed: ROWCALL_TEST_HOOKS is not 1")
    os.write(2, b'{"event": "dying", "mark": "%s"}\n' % mark.encode())
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives that")


family = Family(chaos, sql=Path(__file__).parent / "sql")
