"""Somebody sets the clock of a client's machine: its calls keep the time they were given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from uuid import uuid4

import orjson
import pytest

from accounts import AsyncAccounts
from rpc_client import OutcomeUnknown
from rpc_client.parcels import Pending

HOUR_S = 3600
Step = Callable[[float], None]


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Step:
    """Set this process's clock; the worker is another process, and its clock is right."""
    real = time.time

    def step(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: real() + seconds)

    return step


async def test_a_clock_set_forward_expires_no_call(start_worker, client, step):
    await (await start_worker()).stop()
    waiting = asyncio.ensure_future(AsyncAccounts(client).open_account("a-1", "me"))
    await asyncio.sleep(0)

    step(HOUR_S)
    await start_worker()

    assert (await waiting).account_id == "a-1"


async def test_a_clock_set_back_makes_no_call_wait_for_ever(start_worker, client, step):
    await (await start_worker()).stop()
    waiting = asyncio.ensure_future(AsyncAccounts(client.with_options(timeout_s=0.5)).deposit("a-1", 5))
    await asyncio.sleep(0)

    step(-HOUR_S)

    with pytest.raises(OutcomeUnknown, match=r"in 0\.5 s: 0 workers consume"):
        await waiting


@pytest.mark.parametrize("seconds", [-HOUR_S, 0, HOUR_S])
def test_a_deadline_travels_by_the_clock_as_it_is_set_when_the_call_leaves(step, seconds):
    call = Pending(str(uuid4()), "a.b", "read", b"{}", time.monotonic() + 10)

    step(seconds)
    deadline_s = orjson.loads(call.line())["deadline"] / 1000

    assert time.time() - 60 < deadline_s <= time.time() + 10
