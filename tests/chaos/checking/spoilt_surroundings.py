"""Ways to spoil a calm run, in its events, outcomes, dead letters and leftovers: for C9 to C16."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.checking.story import AT, Story, happened, id_of, letter, without


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


def a_list_has_anothers_entry(story: Story) -> None:
    story.line("ok", "listed")["result"].append({"account_id": "b", "amount": 100, "balance": 100})


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
    a_list_has_anothers_entry: ("wrong", "C13"),
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
"""Each, and by which check what kind of thing has to be found."""
