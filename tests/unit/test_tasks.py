"""A task that is to end does, also where the first word of that was lost."""

from __future__ import annotations

import asyncio
import contextlib

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


async def test_a_cancellation_that_was_lost_in_a_block_ends_it_in_place_of_what_came_after():
    async def sends() -> None:
        with tasks.heeding():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            raise ConnectionError

    sending = asyncio.create_task(sends())
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.wait({sending}, timeout=10)

    assert sending.cancelled()


async def test_who_was_cancelled_before_a_block_may_still_do_what_is_in_it():
    async def tidies() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with tasks.heeding():
                await asyncio.sleep(0)
        return "tidy"

    tidying = asyncio.create_task(tidies())
    await asyncio.sleep(0)
    tidying.cancel()

    assert await tidying == "tidy"
