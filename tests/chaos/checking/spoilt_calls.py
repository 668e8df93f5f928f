"""Ways to spoil a calm run, in what became of its calls: for C1 to C8."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.checking.story import Story, id_of, without


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


def a_list_saw_what_never_was(story: Story) -> None:
    story.line("ok", "listed")["result"][0]["balance"] = 12


def a_look_missed_what_had_been_done(story: Story) -> None:
    story.ask(21, "early", "chaos.look", mark=id_of("note"))
    story.tell(21.1, "ok", "early", result=0)


def a_task_has_two_claimants(story: Story) -> None:
    story.tables["claims"].append({"task_id": 1, "mark": id_of("claim")})


def a_task_is_anothers(story: Story) -> None:
    story.tables["tasks"][0]["claimed_by"] = id_of("note")


def a_claimant_was_told_another_task(story: Story) -> None:
    story.line("ok", "claim")["result"] = 7


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
    a_list_saw_what_never_was: ("wrong", "C7"),
    a_refusal_named_a_balance_that_was_enough: ("wrong", "C7"),
    a_look_missed_what_had_been_done: ("wrong", "C7"),
    a_task_has_two_claimants: ("doubled", "C8"),
    a_task_is_anothers: ("wrong", "C8"),
    a_claimant_was_told_another_task: ("wrong", "C8"),
}
"""Each, and by which check what kind of thing has to be found."""
