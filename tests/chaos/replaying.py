"""When all is quiet and the bugs are mended, every dead letter is replayed, twice: what runs then runs once."""

from __future__ import annotations

from dataclasses import asdict

from tests.chaos.folder import Folder, Journal
from tests.chaos.history import Call
from worker.desk import Desk, Filter, Letter, Step
from worker.settings import WorkerSettings

TIMES = 2
REPLAY_S = 30.0
PAGE = 1000


async def replay(settings: WorkerSettings, folder: Folder) -> list[str]:
    """Replay what there is, and note it as a client does: before it is sent. What went wrong with that, in words."""
    told = Journal(folder.replays)
    trouble: list[str] = []
    async with Desk(settings, actor="chaos") as desk:
        for _ in range(TIMES):
            for letter in await _letters(desk):
                told.write(what="invoke", **asdict(_call(letter)))
            report = await desk.replay(Filter(), timeout_s=REPLAY_S)
            for step in report.steps:
                if state := _outcome(step):
                    told.write(what="outcome", id=str(step.id), state=state, fence=False)
            trouble += [f"a replay ended early: {report.stopped}"] if report.stopped else []
            trouble += [f"{step.id} was replayed in vain: {step.told}" for step in report.steps if _unheard(step)]
    return trouble


async def _letters(desk: Desk) -> list[Letter]:
    letters: list[Letter] = []
    while page := await desk.list(Filter(), limit=PAGE, before=letters[-1].number if letters else None):
        letters += page
    return letters


def _call(letter: Letter) -> Call:
    """Its arguments are told by whoever made it."""
    return Call(str(letter.id), letter.method, {}, "replay", REPLAY_S)


def _outcome(step: Step) -> str | None:
    """What it came to, if that is its outcome now; a bug, or bad input, is none."""
    if step.outcome is None or step.failed:
        return None
    return "done" if step.outcome == "done" else "failed"


def _unheard(step: Step) -> bool:
    return step.outcome == "unheard"
