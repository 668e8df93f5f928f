"""Whose an id is, as long as a second copy of its answer may come."""

from __future__ import annotations

import asyncio
import time

import pytest

from rpc_client import IdempotencyKeyReused, OutcomeUnknown, Unroutable, recent
from rpc_client.parcels import Pending
from rpc_client.recent import Recent
from rpc_client.wire import Reply


def pending(arguments: bytes = b'{"amount":5}', *, request_id: str = "a", left_s: float = 10) -> Pending:
    call = Pending(request_id, "accounts.deposit", "write", arguments, time.monotonic() + left_s, chosen=True)
    call.reply = asyncio.get_running_loop().create_future()
    return call


def ended(result: Reply | Exception, **given) -> Pending:
    call = pending(**given)
    if isinstance(result, Exception):
        call.reply.set_exception(result)
    else:
        call.reply.set_result(result)
    return call


DONE = Reply("a", b"5", None)


@pytest.mark.parametrize("how", [DONE, TimeoutError(), OutcomeUnknown("no reply")], ids=["done", "too late", "unknown"])
async def test_an_id_that_may_have_run_is_no_other_calls(how):
    known = Recent()
    known.add(ended(how))

    known.check(pending())
    with pytest.raises(IdempotencyKeyReused, match=r"belongs to a call of accounts\.deposit"):
        known.check(pending(b'{"amount":6}'))


@pytest.mark.parametrize(
    "how",
    [Reply("a", None, {"error": "InvalidRequest"}), Unroutable("nobody serves it")],
    ids=["refused", "unroutable"],
)
async def test_an_id_that_surely_did_not_run_is_free(how):
    known = Recent()
    known.add(ended(how))

    known.check(pending(b'{"amount":6}'))


async def test_an_id_is_free_again_when_no_copy_of_its_answer_can_come():
    known = Recent()
    known.add(ended(DONE, left_s=-recent.AFTER_S))

    known.check(pending(b'{"amount":6}'))


async def test_only_so_many_are_remembered(monkeypatch):
    monkeypatch.setattr(recent, "MOST", 2)
    known = Recent()
    for request_id in "abc":
        known.add(ended(DONE, request_id=request_id))

    known.check(pending(b'{"amount":6}', request_id="a"))
    with pytest.raises(IdempotencyKeyReused):
        known.check(pending(b'{"amount":6}', request_id="b"))
