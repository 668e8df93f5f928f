"""The checker says nothing of a calm run, and something of each run that is spoilt, by the check that should."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.checker import check
from tests.chaos.checking.story import AT, Story, calm, found_in, happened, id_of, letter, numbers


def test_a_calm_run_has_nothing_to_find(tmp_path: Path):
    assert found_in(calm(), tmp_path) == []


def without(rows: list, name: str) -> None:
    """Take away what names this call."""
    rows[:] = [row for row in rows if id_of(name) not in json.dumps(row)]


def a_confirmed_call_is_gone(story: Story) -> None:
    for rows in (story.tables["receipts"], story.tables["notes"], story.stream):
        without(rows, "sent")
    story.history = [line for line in story.history if line["id"] != id_of("sent") or line["what"] != "outcome"]


def an_answered_call_has_no_receipt(story: Story) -> None:
    without(story.tables["receipts"], "note")


def an_answered_call_left_too_little(story: Story) -> None:
    story.tables["notes"].pop(0)


def a_receipt_says_another_thing_than_ok(story: Story) -> None:
    story.receipt("note")["outcome"] = '"error":"Conflict","message":"no","details":{}}'


def a_row_is_not_as_it_was_asked_for(story: Story) -> None:
    story.tables["entries"][2]["amount"] = 6


def an_error_left_a_row(story: Story) -> None:
    story.tables["notes"].append({"note_id": 99, "mark": id_of("tripped"), "kind": "trip"})


def an_error_with_a_receipt_left_a_row(story: Story) -> None:
    story.book("refused", "b", -5)


def a_call_was_told_it_came_too_late_and_happened(story: Story) -> None:
    line = story.line("ok", "note")
    line |= {"what": "error", "code": "DeadlineExceeded", "reason": None, "details": {}, "message": ""}
    del line["result"]


def a_bad_call_was_answered_ok(story: Story) -> None:
    story.tell(6.3, "ok", "bad", result=1)


def a_fenced_call_ran(story: Story) -> None:
    story.tables["notes"].append({"note_id": 99, "mark": id_of("fenced"), "kind": "note"})


def a_fence_was_promised_and_does_not_stand(story: Story) -> None:
    without(story.tables["receipts"], "fenced")


def a_fence_decided_nothing(story: Story) -> None:
    story.tell(12.3, "outcome", "fenced", state="no_trace", fence=True)


def an_outcome_was_told_that_no_receipt_tells(story: Story) -> None:
    story.line("outcome", "sent")["state"] = "failed"


def a_letter_was_told_of_that_is_not_there(story: Story) -> None:
    story.tell(8.4, "outcome", "note", state="dead_lettered", fence=False)


def an_effect_stands_twice(story: Story) -> None:
    story.tables["notes"].append({"note_id": 99, "mark": id_of("note"), "kind": "note"})


def an_id_has_two_receipts(story: Story) -> None:
    story.tables["receipts"].append(story.receipt("note"))


def a_call_left_rows_that_are_not_its(story: Story) -> None:
    story.tables["claims"].append({"task_id": 2, "mark": id_of("note")})


def money_appeared(story: Story) -> None:
    story.tables["accounts"][0]["balance"] += 1


def a_ledger_does_not_go_on_as_it_left_off(story: Story) -> None:
    story.tables["entries"][2]["balance"] += 1


def credits_appeared(story: Story) -> None:
    story.tables["balances"].append({"user_id": "user-1", "balance": 5})


def somebody_read_money_in_flight(story: Story) -> None:
    story.sums[0]["balances"] -= 100


def somebody_was_below_zero(story: Story) -> None:
    story.sums[0]["least"] = -1


def a_later_write_stands_first(story: Story) -> None:
    first, third = story.tables["entries"][0], story.tables["entries"][2]
    first["entry_id"], third["entry_id"] = third["entry_id"], first["entry_id"]


def a_read_saw_what_had_been(story: Story) -> None:
    story.line("ok", "read")["result"]["balance"] = 1000


def a_read_saw_what_never_was(story: Story) -> None:
    story.line("ok", "read")["result"]["balance"] = 12


def a_refusal_named_a_balance_that_was_enough(story: Story) -> None:
    story.line("error", "refused")["details"]["balance"] = 500


def a_look_missed_what_had_been_done(story: Story) -> None:
    story.ask(21, "early", "chaos.look", mark=id_of("note"))
    story.tell(21.1, "ok", "early", result=0)


def a_task_has_two_claimants(story: Story) -> None:
    story.tables["claims"].append({"task_id": 1, "mark": id_of("claim")})


def a_task_is_anothers(story: Story) -> None:
    story.tables["tasks"][0]["claimed_by"] = id_of("note")


def a_claimant_was_told_another_task(story: Story) -> None:
    story.line("ok", "claim")["result"] = 7


def an_event_is_missing(story: Story) -> None:
    without(story.stream, "note")


def an_event_stands_of_what_did_not_commit(story: Story) -> None:
    about = {"id": f"{id_of('tripped')}/0", "seq": 99, "request_id": id_of("tripped")}
    story.stream.append({"entry": "99-0", "event": happened("Noted", "mark", id_of("tripped"), kind="trip") | about})


def an_event_stands_twice(story: Story) -> None:
    story.stream.append(story.stream[-1])


def events_of_one_account_are_swapped(story: Story) -> None:
    story.stream[0], story.stream[2] = story.stream[2], story.stream[0]


def numbers_of_events_were_drawn_in_a_wrong_order(story: Story) -> None:
    first, second = story.stream[0]["event"], story.stream[2]["event"]
    first["seq"], second["seq"] = second["seq"], first["seq"]
    events_of_one_account_are_swapped(story)


def something_changed_and_nobody_was_told(story: Story) -> None:
    story.receipt("note")["events"] = None
    without(story.stream, "note")


def two_outcomes_were_answered(story: Story) -> None:
    story.tell(7.3, "ok", "note", result=2)


def an_answer_is_not_the_stored_one(story: Story) -> None:
    story.line("ok", "transfer")["result"] = 904


def an_outcome_was_answered_in_different_bytes(story: Story) -> None:
    story.tell(7.2, "reply", "note", word="ok", digest="one")
    story.tell(7.3, "reply", "note", word="ok", digest="other")


def an_id_ran_two_calls(story: Story) -> None:
    story.tell(7.4, "reused", "note", code="ok", args={}, method="chaos.note")


def a_receipt_stands_that_nobody_asked_for(story: Story) -> None:
    story.tables["receipts"].append(story.receipt("refused") | {"id": id_of("early")})


def a_row_names_nobodys_call(story: Story) -> None:
    story.tables["notes"].append({"note_id": 99, "mark": id_of("early"), "kind": "note"})


def something_committed_after_its_deadline(story: Story) -> None:
    story.receipt("note")["at"] = story.receipt("fenced")["at"].replace("T22:13", "T22:14")


def something_committed_by_a_deadline_that_nobody_set(story: Story) -> None:
    something_committed_after_its_deadline(story)
    story.receipt("note")["deadline"] = story.receipt("note")["deadline"].replace("T22:13", "T22:15")


def a_letter_has_no_cause(story: Story) -> None:
    story.tables["dead_letters"].append(letter("note", "chaos.note", "poison", 8))


def a_letter_expired_too_early(story: Story) -> None:
    story.tables["dead_letters"].append(letter("note", "chaos.note", "expired", 8))


def a_letter_is_nobodys(story: Story) -> None:
    story.tables["dead_letters"].append(letter("early", "chaos.note", "internal", 8))


def a_letter_holds_something_else(story: Story) -> None:
    story.tables["dead_letters"][0]["body"] = "{}"


def a_promised_letter_is_not_kept(story: Story) -> None:
    story.tables["dead_letters"].clear()


def an_answer_is_about_anothers_account(story: Story) -> None:
    story.line("ok", "read")["result"]["account_id"] = "b"


def a_log_tells_what_was_in_a_call(story: Story) -> None:
    story.logs["worker-0-1.log"] = "deposited for CANARY-7\n"


def a_call_is_never_decided(story: Story) -> None:
    story.history = [line for line in story.history if line["id"] != id_of("note") or line["what"] == "invoke"]


def nobody_asked_for_anything(story: Story) -> None:
    story.__init__()


def a_message_is_left_in_a_queue(story: Story) -> None:
    story.queues["rowcall.write"].append({"body": "{}"})


def nothing_went_on_in_an_alarm(story: Story) -> None:
    story.faults.append({"fault": "alarm", "target": "RabbitMQ", "at": AT + 30, "mono": 30, "until": 36})
    for n in range(10):
        name = f"waited-{n}"
        story.ask(29, name, "chaos.note", mark=...)
        story.tell(29.1, "confirmed", name)
        story.tables["notes"].append({"note_id": 100 + n, "mark": id_of(name), "kind": "note"})
        story.receive(36.1, name, {"result": 1}, happened("Noted", "mark", id_of(name), kind="note"))
        story.tell(37, "outcome", name, state="done", fence=False, result=1)


def a_connection_is_left(story: Story) -> None:
    story.leaks["end"]["connections"] += 1


def a_reply_queue_is_left(story: Story) -> None:
    story.leaks["end"]["queues"]["rowcall.replies.1"] = 0


def files_are_left_open(story: Story) -> None:
    story.leaks["end"]["fds"]["worker-0"] = 80


def a_session_outlives_its_worker(story: Story) -> None:
    story.leaks["stopped"]["backends"]["rowcall relay"] = 1


SPOILT: dict[Callable[[Story], None], tuple[str, str]] = {
    a_confirmed_call_is_gone: ("lost", "C1"),
    an_answered_call_has_no_receipt: ("lost", "C2"),
    an_answered_call_left_too_little: ("lost", "C2"),
    a_receipt_says_another_thing_than_ok: ("wrong", "C2"),
    a_row_is_not_as_it_was_asked_for: ("wrong", "C2"),
    an_error_left_a_row: ("wrong", "C3"),
    an_error_with_a_receipt_left_a_row: ("wrong", "C3"),
    a_call_was_told_it_came_too_late_and_happened: ("wrong", "C3"),
    a_bad_call_was_answered_ok: ("wrong", "C3"),
    a_fenced_call_ran: ("wrong", "C4"),
    a_fence_was_promised_and_does_not_stand: ("wrong", "C4"),
    a_fence_decided_nothing: ("wrong", "C4"),
    an_outcome_was_told_that_no_receipt_tells: ("wrong", "C4"),
    a_letter_was_told_of_that_is_not_there: ("wrong", "C4"),
    an_effect_stands_twice: ("doubled", "C5"),
    an_id_has_two_receipts: ("doubled", "C5"),
    a_call_left_rows_that_are_not_its: ("wrong", "C5"),
    money_appeared: ("wrong", "C6"),
    a_ledger_does_not_go_on_as_it_left_off: ("wrong", "C6"),
    credits_appeared: ("wrong", "C6"),
    somebody_read_money_in_flight: ("wrong", "C6"),
    somebody_was_below_zero: ("wrong", "C6"),
    a_later_write_stands_first: ("wrong", "C7"),
    a_read_saw_what_had_been: ("wrong", "C7"),
    a_read_saw_what_never_was: ("wrong", "C7"),
    a_refusal_named_a_balance_that_was_enough: ("wrong", "C7"),
    a_look_missed_what_had_been_done: ("wrong", "C7"),
    a_task_has_two_claimants: ("doubled", "C8"),
    a_task_is_anothers: ("wrong", "C8"),
    a_claimant_was_told_another_task: ("wrong", "C8"),
    an_event_is_missing: ("lost", "C9"),
    an_event_stands_of_what_did_not_commit: ("wrong", "C9"),
    an_event_stands_twice: ("doubled", "C9"),
    events_of_one_account_are_swapped: ("wrong", "C9"),
    numbers_of_events_were_drawn_in_a_wrong_order: ("wrong", "C9"),
    something_changed_and_nobody_was_told: ("lost", "C9"),
    two_outcomes_were_answered: ("wrong", "C10"),
    an_answer_is_not_the_stored_one: ("wrong", "C10"),
    an_outcome_was_answered_in_different_bytes: ("wrong", "C10"),
    an_id_ran_two_calls: ("wrong", "C10"),
    a_receipt_stands_that_nobody_asked_for: ("unexplained", "C10"),
    a_row_names_nobodys_call: ("unexplained", "C10"),
    something_committed_after_its_deadline: ("wrong", "C11"),
    something_committed_by_a_deadline_that_nobody_set: ("wrong", "C11"),
    a_letter_has_no_cause: ("unexplained", "C12"),
    a_letter_expired_too_early: ("unexplained", "C12"),
    a_letter_is_nobodys: ("unexplained", "C12"),
    a_letter_holds_something_else: ("wrong", "C12"),
    a_promised_letter_is_not_kept: ("lost", "C12"),
    an_answer_is_about_anothers_account: ("wrong", "C13"),
    a_log_tells_what_was_in_a_call: ("wrong", "C13"),
    a_call_is_never_decided: ("unexplained", "C14"),
    nobody_asked_for_anything: ("unexplained", "C14"),
    a_message_is_left_in_a_queue: ("unexplained", "C14"),
    nothing_went_on_in_an_alarm: ("unexplained", "C16"),
    a_connection_is_left: ("wrong", "C15"),
    a_reply_queue_is_left: ("wrong", "C15"),
    files_are_left_open: ("wrong", "C15"),
    a_session_outlives_its_worker: ("wrong", "C15"),
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_spoilt_run_is_found(spoil: Callable[[Story], None], tmp_path: Path):
    story = calm()
    spoil(story)

    assert SPOILT[spoil] in numbers(found_in(story, tmp_path))


def test_work_that_goes_on_in_an_alarm_is_nothing_to_find(tmp_path: Path):
    story = calm()
    nothing_went_on_in_an_alarm(story)
    story.receipt("waited-0")["at"] = story.receipt("waited-1")["at"].replace(":56.1", ":55.1")

    assert found_in(story, tmp_path) == []


def test_every_check_is_seen_to_find_something():
    assert {number for _, number in SPOILT.values()} == {f"C{number}" for number in range(1, 17)}


def test_a_history_whose_writer_was_killed_is_read_up_to_there(tmp_path: Path):
    found_in(calm(), tmp_path)
    with (tmp_path / "history" / "client-0.jsonl").open("a") as history:
        history.write('{"what": "ok", "id": "0198c5')

    assert check(tmp_path) == []
