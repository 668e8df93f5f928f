"""What an exception means: the one table from PostgreSQL's errors to ours."""

from __future__ import annotations

from enum import Enum, auto

import asyncpg

from rpc_client.errors import (
    Conflict,
    DeadlineExceeded,
    InvalidRequest,
    Reason,
    RemoteError,
    ResultTooLarge,
    Unavailable,
)
from worker.settings import MAX_WRITE_REPLY_BYTES


class CopyRunsError(Exception):
    """A call does not run just now, because another message brought it elsewhere: there it may leave a receipt."""


class Verdict(Enum):
    """What to do about an exception that is no answer in itself."""

    REPEAT = auto()
    """A receipt stands under this id already: answer what it says."""
    TRANSIENT = auto()
    """Nothing is known to have happened: try again while there is time."""
    TIMEOUT = auto()
    """Time ran out in the database: it may have committed."""
    BUG = auto()
    """Somebody has to mend something."""


TRANSIENT_STATES = frozenset(
    {
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55P03",  # lock not available
        "25P03",  # idle in a transaction for too long: this worker stood still
        "25006",  # read-only: the connection points at a standby
    }
)
TRANSIENT_CLASSES = (
    "08",  # connection
    "53",  # short of disk, memory or connections
    "57P",  # shutting down, starting up
    "58",  # the system around the server: input and output
    "XX",  # the server itself, as when an object goes in the middle of its use
)
SCHEMA_STATES = frozenset(
    {
        "42703",  # undefined column
        "42704",  # undefined type
        "42883",  # undefined function
        "42P01",  # undefined table
    }
)
"""Every statement was prepared when the worker started, so it knew all of these then."""
VALUE_STATES = frozenset(
    {
        "22001",  # text longer than its column
        "22003",  # number out of range, of a sum too
        "22008",  # moment out of range
        "22021",  # U+0000 in text
        "22P05",  # U+0000 in jsonb
        "54000",  # text too long for an index
    }
)
"""A value that the contract allows and the database does not."""
RECEIPT_LATE = "receipts_in_time"
RECEIPT_LARGE = "receipts_outcome_fits"


def judge(error: BaseException) -> RemoteError | Verdict:
    """The answer an exception stands for, or what to do about it."""
    if isinstance(error, RemoteError):
        return error
    if isinstance(error, CopyRunsError | TimeoutError):
        return Verdict.REPEAT if isinstance(error, CopyRunsError) else Verdict.TIMEOUT
    if isinstance(error, asyncpg.QueryCanceledError):
        # The server's own word: it is undone, and would only be cancelled again.
        return Unavailable("the database cancelled a statement, most likely for ROWCALL_STATEMENT_S; nothing changed")
    if is_schema_change(error):
        return Unavailable("the database's schema has changed; workers of another version may serve this call")
    if isinstance(error, asyncpg.PostgresError):
        return _judge_state(error)
    # A lost connection is an OSError: ``Database`` looks at the connection, the driver's words for it are many.
    return Verdict.TRANSIENT if isinstance(error, OSError | asyncpg.OutdatedSchemaCacheError) else Verdict.BUG


def _judge_state(error: asyncpg.PostgresError) -> RemoteError | Verdict:
    state = error.sqlstate or ""
    constraint = getattr(error, "constraint_name", None) or ""
    if constraint == RECEIPT_LATE:
        return DeadlineExceeded("the call was not done before its deadline; nothing changed")
    if constraint == RECEIPT_LARGE:
        message = (
            f"the answer takes more than {MAX_WRITE_REPLY_BYTES} bytes, the most a write may give; nothing changed"
        )
        return ResultTooLarge(message, {"limit": MAX_WRITE_REPLY_BYTES})
    if is_receipt_conflict(error):
        return Verdict.REPEAT
    stale_plan = isinstance(error, asyncpg.InvalidCachedStatementError)  # DDL came between
    if stale_plan or state in TRANSIENT_STATES or state.startswith(TRANSIENT_CLASSES):
        return Verdict.TRANSIENT
    # The driver says DataError of what it cannot write: of a value, which is input, or of a type, which is a bug.
    unwritable = isinstance(error, asyncpg.DataError) and isinstance(error.__cause__, ValueError | OverflowError)
    if unwritable or state in VALUE_STATES:
        # The value itself is told to nobody: the text of such errors may hold a row.
        message = "an argument, or what it adds up to, is beyond what its column can hold; nothing changed"
        return InvalidRequest(message, {"reason": Reason.INVALID_ARGUMENT, "argument": None})
    return Verdict.BUG


def is_receipt_conflict(error: BaseException) -> bool:
    """Whether a receipt under this id stood in the way. Known by its table: every partition names its own key."""
    return (
        isinstance(error, asyncpg.UniqueViolationError)
        and error.schema_name == "rowcall"
        and (error.table_name or "").startswith("receipts")
    )


def is_schema_change(error: BaseException) -> bool:
    """Whether something is missing that was there when this worker started."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in SCHEMA_STATES


def is_lock_timeout(error: BaseException) -> bool:
    """Whether somebody else held for too long what was waited for."""
    return isinstance(error, asyncpg.LockNotAvailableError)


def as_conflict(error: BaseException) -> Conflict | None:
    """A constraint's refusal as a business error. PostgreSQL's DETAIL holds the row, so only the name is told."""
    if not isinstance(error, asyncpg.IntegrityConstraintViolationError) or error.schema_name == "rowcall":
        return None  # our own tables' constraints are judged, not told
    name = error.constraint_name or "a constraint"
    return Conflict(f"{name} forbids it", {"constraint": name})
