"""A moment in which one call has nobody beside it."""

from __future__ import annotations

import asyncio

import pytest

from worker import quiet
from worker.quiet import Quiet


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def alone(hush: Quiet, told: list[str], until: asyncio.Event) -> None:
    async with hush.alone():
        told.append("alone")
        await until.wait()


async def beside(hush: Quiet, told: list[str], name: str, until: asyncio.Event) -> None:
    async with hush.beside():
        told.append(name)
        await until.wait()


async def test_who_wants_to_be_alone_waits_for_those_who_run_and_they_wait_for_him():
    hush, told, first, until = Quiet(), list[str](), asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(beside(hush, told, "before", first))
    await settle()

    wanting = asyncio.create_task(alone(hush, told, until))
    await settle()
    waiting = asyncio.create_task(beside(hush, told, "after", until))
    await settle()
    before = list(told)
    first.set()
    await settle()
    during = list(told)
    until.set()
    await asyncio.gather(running, wanting, waiting)

    assert before == ["before"]
    assert during == ["before", "alone"]
    assert told == ["before", "alone", "after"]


async def test_nobody_is_kept_for_long_by_one_who_does_not_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quiet, "QUIET_S", 0.01)
    monkeypatch.setattr(quiet, "ALONE_S", 0.01)
    hush, told, never, at_once = Quiet(), list[str](), asyncio.Event(), asyncio.Event()
    at_once.set()
    slow = asyncio.create_task(beside(hush, told, "slow", never))
    await settle()

    wanting = asyncio.create_task(alone(hush, told, never))
    await settle()
    async with asyncio.timeout(10):
        await beside(hush, told, "after", at_once)
        while "alone" not in told:
            await asyncio.sleep(0.005)
    wanting.cancel()

    assert sorted(told) == ["after", "alone", "slow"]
    await beside(hush, told, "and after that", at_once)
    slow.cancel()


async def test_the_moment_lasts_from_when_the_run_has_begun(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quiet, "QUIET_S", 0.01)
    monkeypatch.setattr(quiet, "ALONE_S", 0.1)
    hush, told, at_once = Quiet(), list[str](), asyncio.Event()
    at_once.set()
    async with hush.alone() as begin:
        monkeypatch.setattr(quiet, "ALONE_S", 60)
        begin()
        after = asyncio.create_task(beside(hush, told, "after", at_once))
        await asyncio.sleep(0.2)
        during = list(told)
    await after

    assert (during, told) == ([], ["after"])


async def test_who_is_alone_for_long_is_waited_for_by_the_next_who_wants_to_be(monkeypatch: pytest.MonkeyPatch):
    hush, told, until, never = Quiet(), list[str](), asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(quiet, "QUIET_S", 0.01)
    monkeypatch.setattr(quiet, "ALONE_S", 0.01)
    first = asyncio.create_task(alone(hush, told, until))
    async with asyncio.timeout(10), hush.beside():  # once the first has had enough of it
        pass

    monkeypatch.setattr(quiet, "QUIET_S", 60)
    second = asyncio.create_task(alone(hush, told, never))
    await settle()
    before = list(told)
    until.set()
    await settle()

    assert (before, told) == (["alone"], ["alone", "alone"])
    await first
    second.cancel()
