"""A task that is to end does, also where it lost the first word of that."""

from __future__ import annotations

import asyncio

import pytest

from rpc_client import tasks


async def test_a_task_that_lost_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tasks, "AGAIN_S", 0.01)
    lost: list[asyncio.CancelledError] = []

    async def send_and_go_on() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as cancelled:
            lost.append(cancelled)
        await asyncio.Event().wait()

    sending = asyncio.create_task(send_and_go_on())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await tasks.end(sending)

    assert sending.cancelled()
    assert len(lost) == 1


async def test_a_task_has_time_to_close_what_it_has_before_it_is_cancelled_again():
    cancelled: list[int] = []

    async def close_slowly() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)
            cancelled.append(closing.cancelling())

    closing = asyncio.create_task(close_slowly())
    await asyncio.sleep(0)
    await tasks.end(closing)

    assert cancelled == [1]


async def test_an_error_that_a_task_ended_of_is_left_to_whoever_asks_for_it():
    async def fail() -> None:
        raise ValueError

    failing, done = asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))
    await asyncio.wait([failing, done])

    await tasks.end(failing, done)

    assert isinstance(failing.exception(), ValueError)
