"""C2, C3 and C5: the tables hold the effects of what happened, each once, and none of what did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tests.chaos.checker.evidence import OPEN, Asked, Evidence, Row, happened, refusal
from tests.chaos.checker.findings import Finding

LEAVES: Mapping[str, Mapping[str, int]] = {
    "accounts.open_account": {"accounts": 1},
    "accounts.deposit": {"entries": 1},
    "accounts.withdraw": {"entries": 1},
    "accounts.transfer": {"entries": 2},
    "chaos.note": {"notes": 1},
    "chaos.linger": {"notes": 1},
    "chaos.overrun": {"notes": 1},
    "chaos.trip": {"notes": 1},
    "chaos.kill": {"notes": 1},
    "chaos.offer": {"tasks": 1},
    "platform.add_credits": {"credit_transactions": 1},
    "platform.spend_credits": {"credit_transactions": 1},
    "platform.create_graph_execution": {"node_executions": 1},
    "platform.upsert_execution_input": {"node_executions": 1},
    "platform.upsert_execution_output": {"node_outputs": 1},
}
"""Method -> how many rows of which table name a call of it that happened; trip and kill do once they are mended."""
MAY_LEAVE: Mapping[str, Mapping[str, int]] = {
    "chaos.claim": {"claims": 1},
    "platform.update_graph_execution_stats": {"graph_executions": 1},
}
"""The same of those that may also find nothing to do."""


def check_done(evidence: Evidence) -> Iterator[Finding]:
    """C2: of what was answered ok the receipt stands, and every row; and no row stands without a receipt."""
    for asked in evidence.writes:
        told = evidence.stands(asked.id)
        if asked.done and told is None:
            yield Finding("lost", "C2", asked.id, f"{asked.method} was answered ok, and has no receipt")
        elif asked.done and told is not None and "result" not in told:
            yield Finding("wrong", "C2", asked.id, f"{asked.method} was answered ok; its receipt says {told['error']}")
        elif told is None and evidence.effects.get(asked.id):
            yield Finding("wrong", "C2", asked.id, f"{asked.method} left rows, and no receipt")
        if asked.done or (told is not None and "result" in told):
            yield from _missing(asked, evidence)


def _missing(asked: Asked, evidence: Evidence) -> Iterator[Finding]:
    """Rows that should be there and are not, and rows that are not as was asked."""
    missing = Counter(LEAVES.get(asked.method, {})) - evidence.counted(asked.id)
    if missing:
        yield Finding("lost", "C2", asked.id, f"{asked.method} happened, and left too little: {dict(missing)} missing")
    for table, row in evidence.effects.get(asked.id, ()):
        if table == "entries" and _booked(asked).get(row["account_id"]) != row["amount"]:
            yield Finding("wrong", "C2", asked.id, f"{asked.method} of {asked.args} left {row}")


def _booked(asked: Asked) -> Mapping[str, int]:
    """What this call should have booked, by account."""
    args = asked.args
    match asked.method:
        case "accounts.deposit":
            return {args["account_id"]: args["amount"]}
        case "accounts.withdraw":
            return {args["account_id"]: -args["amount"]}
        case "accounts.transfer":
            return {args["source_id"]: -args["amount"], args["target_id"]: args["amount"]}
        case _:
            return {}


def check_errors(evidence: Evidence) -> Iterator[Finding]:
    """C3: an error is told of what changed nothing, and what cannot be done is not done."""
    for asked in evidence.writes:
        told, rows = evidence.stands(asked.id), dict(evidence.counted(asked.id))
        if rows and told is not None and "error" in told:
            yield Finding("wrong", "C3", asked.id, f"{asked.method} left {rows}; its receipt says {told['error']}")
        elif (rows or (told is not None and "result" in told)) and (code := _last_word(asked)) is not None:
            yield Finding("wrong", "C3", asked.id, f"{asked.method} was answered {code}, and happened: {rows}")
        if asked.bad and asked.done:
            yield Finding("wrong", "C3", asked.id, f"{asked.method} cannot be done so, and was answered ok")


def _last_word(asked: Asked) -> str | None:
    """The error that says it did not happen, if nobody was told anything else after it."""
    for line in reversed(asked.answers):
        if happened(line):
            return None
        error = refusal(line)
        if error is not None and not _leaves_open(error):
            return str(error["error"])
    return None


def _leaves_open(error: Row) -> bool:
    """Whether it does not say that the call did not happen."""
    return error["error"] in OPEN or (error["error"] == "InternalError" and "is not known" in error["message"])


def check_doubled(evidence: Evidence) -> Iterator[Finding]:
    """C5: no effect stands twice, and no id has two receipts."""
    for request_id, receipts in evidence.receipts.items():
        if len(receipts) > 1:
            yield Finding("doubled", "C5", request_id, f"{len(receipts)} receipts")
    for asked in evidence.writes:
        most = Counter({**LEAVES.get(asked.method, {}), **MAY_LEAVE.get(asked.method, {})})
        for table, over in (evidence.counted(asked.id) - most).items():
            what = f"{asked.method} left {over + most[table]} rows in {table}"
            yield Finding("doubled" if most[table] else "wrong", "C5", asked.id, what)
