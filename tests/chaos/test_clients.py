"""What a chaos client asks for, what it writes down, and what its successor makes of that."""

from __future__ import annotations

import json
import random
from dataclasses import replace

from rpc_client.errors import Conflict, Unavailable
from tests.chaos.folder import Folder
from tests.chaos.history import Call, History, left_open
from tests.chaos.workload import CANARY, DEADLY, Workload

DRAWS = 30_000


def history(tmp_path) -> History:
    folder = Folder(tmp_path)
    folder.make()
    return History(folder, 0)


def call(request_id: str, method: str = "chaos.note", **fields) -> Call:
    return Call(request_id, method, {"mark": request_id}, **fields)


def test_every_write_carries_its_own_id():
    workload = Workload(random.Random(1))
    drawn = [call for _ in range(DRAWS) for call in workload.draw()]

    assert {each.kind for each in drawn} == {"call", "batch", "send", "bad"}
    assert {each.method for each in drawn} > DEADLY
    assert [each for each in drawn if each.lane == "write" and each.id not in json.dumps(each.args)] == []


def test_good_and_bad_arguments_hold_what_no_log_may_tell():
    workload = Workload(random.Random(1))
    drawn = [call for _ in range(DRAWS) for call in workload.draw()]

    assert {each.kind for each in drawn if CANARY in json.dumps(each.args)} >= {"call", "bad"}


def test_no_worker_is_killed_by_a_call_where_that_is_not_wanted():
    workload = Workload(random.Random(1), {"poison"})

    assert DEADLY.isdisjoint(each.method for _ in range(DRAWS) for each in workload.draw())


def test_a_successor_settles_what_was_left_undecided_and_nothing_else(tmp_path):
    told = history(tmp_path)
    told.write("started")
    undecided = [call("silent"), call("unknown"), call("away"), call("asked")]
    decided = [call("ok"), call("refused"), call("fenced"), call("late")]
    for each in [*undecided, *decided, call("read", "chaos.look"), call("ground", kind="ground")]:
        told.invoke(each, 1)
    told.write("unknown", id="unknown", why="OutcomeUnknown")
    told.error("away", Unavailable("the database is away"))
    told.write("outcome", id="asked", state="no_trace", fence=False)
    told.write("ok", id="ok", result=1)
    told.error("refused", Conflict("it is refused"))
    told.write("outcome", id="fenced", state="fenced", fence=True)
    told.write("unknown", id="late", why="OutcomeUnknown")
    told.invoke(replace(call("late"), kind="retry"), 2)
    told.write("ok", id="late", result=1)

    assert [left.call for left in left_open(told.path)] == undecided


def test_a_successor_knows_how_often_a_call_was_tried_and_what_the_broker_has(tmp_path):
    told = history(tmp_path)
    told.invoke(call("tried"), 1)
    told.invoke(replace(call("tried"), kind="retry"), 2)
    told.invoke(call("sent", kind="send", sent=True), 1)
    told.write("confirmed", id="sent")
    with told.path.open("a") as file:
        file.write('{"what": "ok", "id": "tri')  # whoever wrote this was killed

    tried, sent = left_open(told.path)

    assert (tried.attempts, tried.confirmed) == (2, False)
    assert (sent.call.sent, sent.confirmed) == (True, True)
