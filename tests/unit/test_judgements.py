"""What an error of the database means for a call."""

from __future__ import annotations

import asyncpg
import pytest

from rpc_client.errors import Conflict, ResultTooLarge
from worker.errors import as_conflict, judge


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
