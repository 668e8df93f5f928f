"""For whom a worker's death would count: while one decides, not for those beside it, and afterwards for them again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from worker.here import Here


class Notes:
    """What is written down, in its order."""

    def __init__(self) -> None:
        self.written: list[tuple[str, list[str]]] = []
        self.away: list[bool] = []
        """Whether what is said next is not heard."""

    async def end(self, calls: Sequence[Any]) -> None:
        await asyncio.sleep(0)
        if not calls:
            return
        self.written.append(("end", [call.id for call in calls]))

    async def acquit(self, calls: Sequence[Any]) -> None:
        self.written.append(("acquit", [call.id for call in calls]))

    async def live_on(self, calls: Sequence[Any], *, decides: bool) -> bool:
        await asyncio.sleep(0)
        self.written.append(("decides" if decides else "lives on", [call.id for call in calls]))
        return not self.away.pop() if self.away else True

    async def resume(self, calls: Sequence[Any]) -> None:
        await asyncio.sleep(0)
        self.written.append(("resume", [call.id for call in calls]))


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def here(notes: Notes) -> Here:
    return Here(notes)


def a_call(name: str, message: str = "", caller: str = "me") -> Any:
    return SimpleNamespace(id=name, message_id=message or name, caller=caller, args_hash=b"", left_s=10)


async def test_what_runs_beside_one_that_decides_is_excused_message_by_message(here: Here, notes: Notes):
    x, y, z, stranger = a_call("x"), a_call("y", "m"), a_call("z", "m"), a_call("s", "m", "other")
    with here.noted([x, y]), here.noted([z, stranger]):
        async with here.deciding(a_call("d")):
            before = list(notes.written)

    assert before == [("end", ["x"]), ("end", ["y", "z"]), ("end", ["s"])]
    assert notes.written[3:] == [("resume", ["x"]), ("resume", ["y", "z"]), ("resume", ["s"])]


async def test_what_has_ended_meanwhile_is_not_noted_again_nor_what_begins_then_excused(here: Here, notes: Notes):
    decides = a_call("d")
    with here.noted([a_call("x")]):
        deciding = here.deciding(decides)
        await deciding.__aenter__()
    with here.noted([decides]), here.noted([a_call("y")]):
        await deciding.__aexit__(None, None, None)

    assert notes.written == [("end", ["x"])]


async def test_with_two_that_decide_the_others_are_excused_until_both_have(here: Here, notes: Notes):
    first, second = a_call("first"), a_call("second")
    with here.noted([a_call("x")]):
        async with here.deciding(first):
            with here.noted([first]):
                async with here.deciding(second):
                    pass
                between = list(notes.written)

    assert between == [("end", ["x"])]
    assert notes.written == [("end", ["x"]), ("resume", ["x"])]


@pytest.mark.parametrize("excused", [True, False])
async def test_what_runs_for_long_is_acquitted_and_again_once_others_have_decided(
    here: Here, notes: Notes, monkeypatch: pytest.MonkeyPatch, excused: bool
):
    monkeypatch.setattr("worker.here.LONG_S", 0.01)

    async def acquitted() -> None:
        async with asyncio.timeout(10):
            while ("acquit", ["x"]) not in notes.written:
                await asyncio.sleep(0.001)

    async with here.suspected(a_call("x")):
        if not excused:
            await acquitted()
        async with here.deciding(a_call("d")):
            await acquitted()

    noted = [("acquit", ["x"]), ("end", ["x"])]
    assert sorted(notes.written[:2]) == noted
    assert notes.written[2:] == [("resume", ["x"]), ("acquit", ["x"])]


async def test_whoever_lives_on_without_the_broker_says_so_of_all_and_resumes_nothing(here: Here, notes: Notes):
    x, y, decides = a_call("x", "m"), a_call("y", "m"), a_call("d")
    with here.noted([x, y]):
        async with here.deciding(decides):
            with here.noted([decides]):
                await here.live_on()
    with here.noted([x, y]):
        living = asyncio.create_task(here.live_on())
        await asyncio.sleep(0)
        with here.noted([a_call("of a new connection")]):
            await living

    assert notes.written == [("end", ["x", "y"]), ("decides", ["d"]), ("lives on", ["x", "y"])]


async def test_that_it_lives_is_said_until_it_is_heard(here: Here, notes: Notes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.here.AGAIN_S", 0)
    notes.away = [True]
    with here.noted([a_call("x")]):
        await here.live_on()

    assert notes.written == [("lives on", ["x"])] * 2


async def test_what_runs_for_long_is_not_acquitted_once_it_is_others(
    here: Here, notes: Notes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("worker.here.LONG_S", 0.01)
    async with here.suspected(a_call("x")):
        await here.live_on()
        await asyncio.sleep(0.05)

    assert notes.written == [("lives on", ["x"])]


async def test_what_was_given_to_others_is_theirs_to_end_and_what_ended_is_not_resumed(here: Here, notes: Notes):
    x, y = a_call("x"), a_call("y")
    with here.noted([x, y]):
        await here.end([y])
        async with here.deciding(a_call("d")):
            pass
        await here.live_on()
        await here.end([x])

    assert notes.written == [("end", ["y"]), ("end", ["x"]), ("resume", ["x"]), ("lives on", ["x"])]


async def test_a_copy_is_here_as_long_as_another_runs(here: Here):
    with here.run([a_call("x", "one message")]):
        inside = a_call("x", "another") in here

    assert (inside, a_call("x") in here) == (True, False)
