"""Reads whose worker was lost go again: alone, one after the other, and not for ever."""

from __future__ import annotations

import asyncio
import time

import pytest

from rpc_client import losses, turns
from rpc_client.errors import Reason
from rpc_client.losses import Losses
from rpc_client.parcels import Pending
from rpc_client.wire import Reply

DONE = Reply("0", b"1", None)


class Sent:
    """A way to the workers that notes what leaves by it."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.losses = Losses(lambda work: self._tasks.append(asyncio.create_task(work)), self._send)

    def _send(self, call: Pending) -> None:
        call.attempt += 1
        self.ids.append(call.id)

    def lose(self, *calls: Pending) -> list[Reply | None]:
        return [self.losses.judge(call, lost(call)) for call in calls]


def lost(call: Pending, **details: object) -> Reply:
    return Reply(call.id, None, {"error": "Unavailable", "details": {"reason": Reason.REDELIVERED} | details})


def pending(number: int) -> list[Pending]:
    calls = [Pending(str(n), "a.b", "read", b"{}", time.monotonic() + 30, attempt=1) for n in range(number)]
    for call in calls:
        call.reply = asyncio.get_running_loop().create_future()
    return calls


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_is_on_its_way_at_a_time_and_all_travel_alone_from_now_on():
    sent, calls = Sent(), pending(3)

    sent.lose(*calls)
    await settle()
    first = list(sent.ids)
    calls[0].reply.set_result(DONE)
    await settle()

    assert (first, sent.ids) == (["0"], ["0", "1"])
    assert all(call.alone for call in calls)


async def test_one_that_is_lost_again_goes_behind_the_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(losses, "PAUSE_S", 0)
    sent, calls = Sent(), pending(2)

    sent.lose(*calls)
    await settle()
    sent.lose(calls[0])
    await settle()
    calls[1].reply.set_result(DONE)
    await settle()

    assert sent.ids == ["0", "1", "0"]


async def test_the_second_time_it_goes_after_a_pause_a_killer_beside_it_may_be_gone_by_then(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(losses, "PAUSE_S", 0.1)
    sent, (call,) = Sent(), pending(1)

    sent.lose(call)
    await settle()
    sent.lose(call)
    await settle()
    before = list(sent.ids)
    async with asyncio.timeout(10):
        while len(sent.ids) < 2:
            await asyncio.sleep(0.01)

    assert before == ["0"]


async def test_what_workers_note_goes_again_for_as_long_as_it_has_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(losses, "PAUSE_S", 0)
    sent, (call,) = Sent(), pending(1)

    for _ in range(20):
        assert sent.losses.judge(call, lost(call, noted=True)) is None
        await settle()

    assert sent.ids == ["0"] * 20


async def test_what_no_worker_can_note_is_not_lost_without_end(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(losses, "PAUSE_S", 0)
    sent, (call,) = Sent(), pending(1)

    told = []
    for _ in range(6):
        told += sent.lose(call)
        await settle()

    assert told[:5] == [None] * 5
    assert told[5].error["error"] == "InternalError"
    assert told[5].error["details"] == {"reason": "poison"}
    assert sent.ids == ["0"] * 5


async def test_what_a_new_connection_has_sent_already_is_not_sent_twice():
    sent, calls = Sent(), pending(2)

    sent.lose(*calls)
    await settle()
    calls[1].attempt += 1
    calls[0].reply.set_result(DONE)
    await settle()

    assert sent.ids == ["0"]


async def test_nobody_waits_for_a_slow_one_for_ever(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(turns, "PATIENCE_S", 0.01)
    sent, calls = Sent(), pending(2)

    sent.lose(*calls)
    async with asyncio.timeout(10):
        while len(sent.ids) < 2:
            await asyncio.sleep(0.005)

    assert sent.ids == ["0", "1"]


async def test_other_errors_are_answers():
    sent, (call,) = Sent(), pending(1)
    busy = Reply(call.id, None, {"error": "Unavailable", "details": {"limit": 2}})
    alike = Reply(call.id, None, {"error": "Conflict", "details": {"reason": Reason.REDELIVERED}})

    assert [sent.losses.judge(call, reply) for reply in (busy, alike)] == [busy, alike]
