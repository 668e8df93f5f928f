"""One after the other, but nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from rpc_client import turns
from rpc_client.turns import Turns

LONG_S = 60.0


def in_s(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


class Runs:
    """Those whose turn it has been, and those who run now."""

    def __init__(self, patience_s: float | None = None) -> None:
        self.turns = Turns(patience_s)
        self.began: list[str] = []
        self.running: set[str] = set()

    async def run(self, name: str, until: asyncio.Event, left_s: float = LONG_S) -> None:
        async with self.turns.take(in_s(left_s)):
            self.began.append(name)
            self.running.add(name)
            await until.wait()
            self.running.discard(name)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_each_waits_until_the_one_before_has_ended():
    runs, ends = Runs(), [asyncio.Event() for _ in range(3)]
    tasks = [asyncio.create_task(runs.run(str(n), end)) for n, end in enumerate(ends)]

    beside = []
    for end in ends:
        await settle()
        beside.append(set(runs.running))
        end.set()
    await asyncio.gather(*tasks)

    assert beside == [{"0"}, {"1"}, {"2"}]


async def test_beside_slow_ones_it_is_still_one_at_a_time_who_begins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.2)
    runs, slow, never = Runs(), asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(runs.run("slow", slow))]
    async with asyncio.timeout(10):
        while not runs.began:
            await asyncio.sleep(0)
        tasks.append(asyncio.create_task(runs.run("next", never)))
        tasks.append(asyncio.create_task(runs.run("last", never)))
        while len(runs.began) < 2:
            await asyncio.sleep(0.001)
        beside = set(runs.running)
        slow.set()
        await settle()
        after = list(runs.began)
    for task in tasks:
        task.cancel()

    assert beside == {"slow", "next"}
    assert after == ["slow", "next"]  # that the slow one ends gives nobody a turn that was given already


async def test_who_has_little_time_left_goes_on_without_his_turn():
    runs, never = Runs(), asyncio.Event()
    first = asyncio.create_task(runs.run("first", never))
    await settle()

    async with asyncio.timeout(10):
        hurried = asyncio.create_task(runs.run("hurried", never, left_s=0.02))
        while len(runs.began) < 2:
            await asyncio.sleep(0.005)
    first.cancel()
    hurried.cancel()

    assert runs.began == ["first", "hurried"]


async def test_those_who_would_give_up_at_the_same_moment_begin_one_after_the_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
    runs, never = Runs(patience_s=60), asyncio.Event()
    tasks = [asyncio.create_task(runs.run(name, never, left_s=2)) for name in ("first", "second", "third")]

    async with asyncio.timeout(10):
        while "second" not in runs.began:
            await asyncio.sleep(0.001)
        beside = set(runs.running)
        while "third" not in runs.began:
            await asyncio.sleep(0.001)
    for task in tasks:
        task.cancel()

    assert beside == {"first", "second"}


async def test_who_lets_all_others_go_first_waits_until_nobody_wants_a_turn():
    runs, ends = Runs(), [asyncio.Event() for _ in range(2)]
    tasks = [asyncio.create_task(runs.run(str(n), end)) for n, end in enumerate(ends)]
    await settle()
    last = asyncio.create_task(runs.turns.idle(in_s(LONG_S)))

    waited = []
    for end in ends:
        await settle()
        waited.append(not last.done())
        end.set()
    await asyncio.gather(*tasks)
    await settle()

    assert waited == [True, True]
    assert last.done()


async def test_who_lets_others_go_first_does_not_wait_for_one_that_has_passed_its_turn_on(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
    runs, never = Runs(), asyncio.Event()
    task = asyncio.create_task(runs.run("slow", never))
    await settle()

    async with asyncio.timeout(10):
        await runs.turns.idle(in_s(LONG_S))

    assert runs.running == {"slow"}
    task.cancel()


async def test_who_gave_up_waiting_for_a_turn_wants_none_any_more():
    runs, never = Runs(), asyncio.Event()
    tasks = [asyncio.create_task(runs.run(name, never)) for name in ("first", "second")]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    async with asyncio.timeout(10):
        await runs.turns.idle(in_s(LONG_S))


async def test_nobody_lets_others_go_first_for_longer_than_he_said():
    runs, never = Runs(), asyncio.Event()
    task = asyncio.create_task(runs.run("first", never))
    await settle()

    async with asyncio.timeout(10):
        await runs.turns.idle(in_s(0.01))

    task.cancel()
