"""What an error of the database means for a call."""

from __future__ import annotations

import asyncpg
import pytest

from rpc_client.errors import Conflict, ResultTooLarge, Unavailable
from worker.errors import Verdict, as_conflict, judge


def violation(schema: str, constraint: str) -> asyncpg.CheckViolationError:
    error = asyncpg.CheckViolationError("new row violates a check")
    error.schema_name, error.constraint_name = schema, constraint
    return error


def test_a_family_s_constraint_is_a_conflict_that_names_it():
    told = as_conflict(violation("accounts", "balance_is_never_negative"))

    assert isinstance(told, Conflict)
    assert told.details == {"constraint": "balance_is_never_negative"}


@pytest.mark.parametrize("constraint", ["receipts_outcome_fits", "receipts_in_time"])
def test_a_receipt_s_constraint_is_no_conflict_of_the_method(constraint):
    assert as_conflict(violation("rowcall", constraint)) is None


def test_an_answer_that_no_receipt_holds_is_too_large():
    assert isinstance(judge(violation("rowcall", "receipts_outcome_fits")), ResultTooLarge)


def of_state(state: str) -> asyncpg.PostgresError:
    """An error as PostgreSQL tells it."""
    return asyncpg.PostgresError.new({"C": state, "M": "something of this kind"})


@pytest.mark.parametrize(
    "state",
    [
        "08006",
        "25006",
        "25P03",
        "40001",
        "40P01",
        "53100",
        "53200",
        "53300",
        "55P03",
        "57P01",
        "57P03",
        "58030",
        "XX000",
    ],
)
def test_what_passes_is_tried_again(state):
    assert judge(of_state(state)) is Verdict.TRANSIENT


@pytest.mark.parametrize("state", ["42703", "42704", "42883", "42P01"])
def test_what_was_there_when_the_worker_started_is_no_bug(state):
    assert isinstance(judge(of_state(state)), Unavailable)


def test_a_statement_that_the_server_cancelled_is_not_tried_again():
    assert isinstance(judge(of_state("57014")), Unavailable)


@pytest.mark.parametrize("state", ["25P02", "42601", "42804"])
def test_what_will_not_pass_is_a_bug(state):
    assert judge(of_state(state)) is Verdict.BUG


def test_the_driver_s_word_closed_in_a_bug_makes_it_no_lost_connection():
    assert judge(asyncpg.InterfaceError("the cursor is closed")) is Verdict.BUG
