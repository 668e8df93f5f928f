"""Bugs planted on purpose, to see that the checker finds each. A process has the one that ``ROWCALL_PLANT`` names.

Only ``python -m tests.chaos.worker`` and the rig's clients look at that: no program that anybody runs holds any of it.
"""

from __future__ import annotations

from tests.chaos.plants import bias, messages, receipts, record, statements
from tests.chaos.plants.plant import SOUND, Plant, chosen

__all__ = ["PLANTS", "SOUND", "Plant", "plant"]

HASTE = {"kill_every_s": 1.2}
ALL = (
    Plant(
        "ack-early",
        "a message is acknowledged before anything of it is done",
        "C1",
        worker=messages.ack_early,
        bias=bias.slow_sends,
        plan=HASTE,
    ),
    Plant(
        "reply-early",
        "a story is answered, and commits a moment later",
        "C2",
        worker=receipts.reply_early,
        plan=HASTE,
    ),
    Plant("no-receipt", "a write leaves no receipt", "C2", worker=receipts.without_receipt),
    Plant(
        "receipt-apart",
        "the effect commits first, its receipt in a transaction of its own",
        "C5",
        worker=receipts.receipt_apart,
        plan=HASTE,
    ),
    Plant(
        "error-keeps-effect",
        "a business error does not undo what its story did",
        "C3",
        worker=receipts.error_keeps_effect,
    ),
    Plant(
        "failure-guessed",
        "a commit whose answer was lost is taken for a failure",
        "C3",
        worker=receipts.failure_guessed,
        bias=bias.many_notes,
        faults="lost-answer",
        plan={"duration_s": 45.0},
    ),
    Plant("hollow-fence", "a fence is promised, and nothing is written", "C4", worker=receipts.hollow_fence),
    Plant(
        "shifted",
        "in a group each call is answered what its neighbour came to",
        "C10",
        worker=receipts.shifted,
        bias=bias.many_batches,
    ),
    Plant(
        "deadline-ignored",
        "what is too late commits all the same",
        "C11",
        worker=receipts.deadline_ignored,
        bias=bias.patient_overruns,
    ),
    Plant(
        "event-early",
        "a story's events are in the record before it commits",
        "C9",
        worker=record.event_early,
        faults="kill,crash-points",
        plan={"crash_points": "K5:1/60"},
    ),
    Plant(
        "by-transaction",
        "events are recorded in the order of (xid, seq)",
        "C9",
        worker=record.by_transaction,
        bias=bias.few_accounts,
    ),
    Plant(
        "without-horizon",
        "events are recorded by `seq > last`: what commits late with a lower number never is",
        "C9",
        worker=record.without_horizon,
    ),
    Plant(
        "new-id",
        "what a client sends again after a loss goes under a new id",
        "C5",
        client=messages.new_id,
        faults="cut,answers-held",
    ),
    Plant(
        "letters-dropped",
        "dead-lettering is at most once, and nobody has bound the queue",
        "C1",
        worker=messages.letters_dropped,
        bias=lambda: (messages.sends_expire_soon(), bias.many_sends()),
        plan={"workers": 1, "kill_every_s": 2.0},
    ),
    Plant(
        "mixed-connection",
        "replies leave by the connection that acknowledges: in an alarm the broker reads neither",
        "C16",
        worker=messages.mixed_connection,
        bias=bias.slow_sends,
        faults="alarm",
        plan={"workers": 1, "rate": 60.0},
    ),
    Plant("letters-lost", "a dead letter is put into no queue", "C12", worker=messages.letters_lost),
    Plant(
        "guard-first",
        "a withdrawal is judged before its account is locked",
        "C7",
        worker=statements.guard_first,
        bias=bias.poor_accounts,
        plan={"duration_s": 45.0},
    ),
    Plant(
        "claim-unlocked",
        "a free task is found without being locked",
        "C8",
        worker=statements.claim_unlocked,
        bias=bias.many_claims,
    ),
    Plant(
        "stale-balance",
        "a deposit adds to the balance that it has read",
        "C6",
        worker=statements.stale_balance,
        bias=bias.few_accounts,
    ),
)
PLANTS = {each.name: each for each in ALL}


def plant(*, client: bool) -> None:
    """Put the chosen bug into this process, if one is."""
    found, planted = chosen(PLANTS)
    if found is None:
        return
    if client:
        found.bias()
    if planted:
        (found.client if client else found.worker)()
