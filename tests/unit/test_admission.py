"""A plain line, read in one pass, is understood exactly as it would be step by step."""

from __future__ import annotations

import math
from json import dumps
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from rpc_client.contract.platform import AsyncPlatform
from rpc_client.errors import InvalidRequest
from worker.admission import Admission, Refused
from worker.calls import Call, Origin

DEPOSIT, READ = "write.accounts.deposit", "read.accounts.get_account"
ORIGIN = Origin("me", "q", None, None, redelivered=False)
NUMBERS = [0, 1, -1, 5, 10**12, 10**13, 2**63, 2**64, 1.0, 1.5, 1e300, math.nan, math.inf]
VALUES = st.sampled_from([None, True, "5", "a-1", "", "x" * 64, "x" * 65, "n\0l", "\ud800", [], [1], {}, *NUMBERS])
IDS = st.sampled_from([str(uuid4()), str(uuid7()), str(uuid4()).upper(), uuid4().hex, f"{{{uuid4()}}}", "", None, 7])
ARGUMENTS = st.dictionaries(st.sampled_from(["account_id", "amount", "note", "amounts"]), VALUES)
REST = st.dictionaries(st.sampled_from(["deadline", "attempt", "v", "trace", "more"]), VALUES)
GOOD = {"account_id": "a-1", "amount": 5}


@pytest.fixture(scope="module")
def admission(served, base_settings) -> Admission:
    return Admission(served, base_settings)


@pytest.fixture(scope="module")
def careful(served, base_settings) -> Admission:
    """One that finds no line plain."""
    admission = Admission(served, base_settings)
    admission._schemas = dict.fromkeys(served.answers)
    return admission


def shown(found: Call | Refused) -> object:
    if isinstance(found, Call):
        return {name: getattr(found, name) for name in Call.__slots__}
    assert isinstance(found.result, InvalidRequest)
    return found.method, found.shown_id, found.result.message, found.result.details


@given(IDS, ARGUMENTS | st.just(GOOD), REST | st.just({}), st.sampled_from([DEPOSIT, READ]))
def test_both_ways_come_to_the_same(admission, careful, request_id, arguments, rest, key):
    line = dumps({"id": request_id, "method": key.partition(".")[2], "args": arguments, **rest}).encode()

    (plain,), (step_by_step,) = admission.admit([line], ORIGIN, key), careful.admit([line], ORIGIN, key)

    if request_id is not None or isinstance(step_by_step, Refused):  # else it gets an id of its own each time
        assert shown(plain) == shown(step_by_step)


@given(st.data())
def test_so_they_do_for_a_line_that_was_damaged(admission, careful, data):
    line = orjson.dumps({"id": str(uuid7()), "method": "accounts.deposit", "args": GOOD, "deadline": 1_900_000_000_000})
    place = data.draw(st.integers(0, len(line)))
    damaged = line[:place] + data.draw(st.binary(max_size=3)) + line[place + data.draw(st.integers(0, 3)) :]

    (plain,), (step_by_step,) = admission.admit([damaged], ORIGIN, DEPOSIT), careful.admit([damaged], ORIGIN, DEPOSIT)

    if b'"id"' in damaged:
        assert shown(plain) == shown(step_by_step)


def test_a_line_of_our_client_is_plain(admission, monkeypatch):
    monkeypatch.setattr(Admission, "_carefully", None)
    line = orjson.dumps({"id": str(uuid7()), "method": "accounts.deposit", "args": GOOD, "deadline": 1, "attempt": 1})

    (call,) = admission.admit([line], ORIGIN, DEPOSIT)

    assert call.arguments == {**GOOD, "note": ""}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 400 + ".0"])
def test_no_argument_of_any_json_slips_past_the_careful_way(admission, number):
    method = AsyncPlatform.upsert_execution_output
    line = b'{"id":"%b","method":"%b","args":{"node_exec_id":"n","output_name":"o","output_data":%b}}' % (
        str(uuid7()).encode(),
        method.name.encode(),
        number.encode(),
    )

    (refused,) = admission.admit([line], ORIGIN, method.routing_key)

    assert isinstance(refused.result, InvalidRequest)
