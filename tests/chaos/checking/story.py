"""A run made by hand: a calm one, in which everything is as it should be, to be spoilt in one place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tests.chaos.checker import Finding, check

BESIDE = frozenset({"reply", "reused"})
"""Lines that no call's fate hangs on have a file of their own."""
AT = 1_700_000_000.0
TABLES = (
    "receipts",
    "dead_letters",
    "accounts",
    "entries",
    "balances",
    "credit_transactions",
    "notes",
    "tasks",
    "claims",
)


def id_of(name: str) -> str:
    """The request id of a call that the story calls so."""
    return f"0198c5a4-0000-7000-8000-{blake2b(name.encode(), digest_size=6).hexdigest()}"


class Story:
    """Histories and tables, as a run's folder holds them. Its clock starts at 0."""

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []
        self.tables: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
        self.stream: list[dict[str, Any]] = []
        self.queues: dict[str, Any] = {"rowcall.write": [], "rowcall.dead-letters": []}
        self.sums: list[dict[str, Any]] = []
        self.faults: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        self.leaks = {
            "baseline": held(8, 20, backends={"rowcall worker": 4}, fds={"worker-0": 30}),
            "end": held(8, 20, backends={"rowcall worker": 20}, fds={"worker-0": 35}),
            "stopped": held(0, 0, backends={}, fds={}),
        }

    def tell(self, mono: float, what: str, name: str, **fields: Any) -> dict[str, Any]:
        """A line of a history."""
        line = {"at": AT + mono, "mono": mono, "what": what, "id": id_of(name), **fields}
        self.history.append(line)
        return line

    def ask(self, mono: float, name: str, method: str, **args: Any) -> None:
        """Somebody asks; `...` stands for the call's own id."""
        marked = {key: id_of(name) if value is ... else value for key, value in args.items()}
        self.tell(mono, "invoke", name, method=method, args=marked, kind="call", timeout_s=10.0, attempt=1, sent=False)

    def receive(self, mono: float, name: str, outcome: dict[str, Any], *events: dict[str, Any]) -> None:
        """A receipt, and its events in the record."""
        seq = len(self.stream) + 1
        invoke = self.line("invoke", name)
        self.tables["receipts"].append(
            {
                "id": id_of(name),
                "method": invoke["method"],
                "deadline": _stamp(invoke["mono"] + invoke["timeout_s"]),
                "at": _stamp(mono),
                "outcome": json.dumps(outcome)[1:],
                "events": [*events] or None,
                "seq": seq if events else None,
            }
        )
        for n, event in enumerate(events):
            about = {"id": f"{id_of(name)}/{n}", "seq": seq, "request_id": id_of(name)}
            self.stream.append({"entry": f"{seq}-{n}", "event": event | about})

    def book(self, name: str, account_id: str, amount: int) -> dict[str, Any]:
        """A line of a ledger, the balance after it, and the event that tells of both."""
        entries = self.tables["entries"]
        balance = sum(entry["amount"] for entry in entries if entry["account_id"] == account_id) + amount
        line = {"entry_id": len(entries) + 1, "account_id": account_id, "amount": amount, "balance": balance}
        entries.append(line | {"note": id_of(name)})
        kept = [account for account in self.tables["accounts"] if account["account_id"] != account_id]
        self.tables["accounts"] = [*kept, {"account_id": account_id, "owner": "", "balance": balance}]
        kind = "Deposited" if amount > 0 else "Withdrawn"
        return happened(kind, "account", account_id, amount=abs(amount), balance=balance)

    def line(self, what: str, name: str) -> dict[str, Any]:
        """The first such line of the history."""
        return next(line for line in self.history if line["what"] == what and line["id"] == id_of(name))

    def receipt(self, name: str) -> dict[str, Any]:
        return next(row for row in self.tables["receipts"] if row["id"] == id_of(name))

    def write(self, run: Path) -> None:
        """As a run's folder."""
        for folder in ("history", "replies", "dump", "logs"):
            (run / folder).mkdir(exist_ok=True)
        (run / "run.json").write_text(json.dumps({"pool_size": 6, "workers": 4}))
        for path, rows in {
            "history/client-0.jsonl": [line for line in self.history if line["what"] not in BESIDE],
            "replies/client-0.jsonl": [line for line in self.history if line["what"] in BESIDE],
            "auditor.jsonl": self.sums,
            "nemesis.jsonl": self.faults,
            "dump/stream.jsonl": self.stream,
            **{f"dump/{table}.jsonl": rows for table, rows in self.tables.items()},
        }.items():
            (run / path).write_text("".join(json.dumps(row) + "\n" for row in rows))
        (run / "dump" / "queues.json").write_text(json.dumps(self.queues))
        (run / "dump" / "leaks.json").write_text(json.dumps(self.leaks))
        for log, text in self.logs.items():
            (run / "logs" / log).write_text(text)


def held(connections: int, channels: int, **more: dict[str, int]) -> dict[str, Any]:
    """What is held of the servers and of the system."""
    return {"connections": connections, "channels": channels, "queues": {"rowcall.write": 0}, **more}


def happened(kind: str, aggregate: str, aggregate_id: str, /, **data: Any) -> dict[str, Any]:
    """An event."""
    family = "accounts" if aggregate == "account" else "chaos"
    return {"type": kind, "family": family, "aggregate": aggregate, "aggregate_id": aggregate_id, "data": data}


def _stamp(mono: float) -> str:
    return datetime.fromtimestamp(AT + mono, UTC).isoformat()


def without(rows: list[dict[str, Any]], name: str) -> None:
    """Take away what names this call."""
    rows[:] = [row for row in rows if id_of(name) not in json.dumps(row)]


def found_in(story: Story, run: Path) -> list[Finding]:
    """What the checker says of it."""
    story.write(run)
    return check(run)


def calm() -> Story:
    """One of everything, and all as it should be."""
    story = Story()
    for mono, name, account_id, amount in ((1, "rich", "a", 1000), (2, "poor", "b", 10), (3, "deposit", "a", 5)):
        story.ask(mono, name, "accounts.deposit", account_id=account_id, amount=amount, note=...)
        booked = story.book(name, account_id, amount)
        story.receive(mono + 0.1, name, {"result": booked["data"]["balance"]}, booked)
        story.tell(mono + 0.2, "ok", name, result=booked["data"]["balance"])
    story.ask(4, "transfer", "accounts.transfer", source_id="a", target_id="b", amount=100, note=...)
    story.receive(4.1, "transfer", {"result": 905}, story.book("transfer", "a", -100), story.book("transfer", "b", 100))
    story.tell(4.2, "ok", "transfer", result=905)
    _refuse(story)
    _mark(story)
    _leave_open(story)
    story.ask(20, "read", "accounts.get_account", account_id="a")
    story.tell(20.1, "ok", "read", result={"account_id": "a", "balance": 905})
    story.ask(20.2, "listed", "accounts.list_entries", account_id="a", limit=1)
    story.tell(20.3, "ok", "listed", result=[{"account_id": "a", "amount": -100, "balance": 905}])
    story.sums.append({"at": AT, "balances": 1015, "entries": 1015, "credits": 0, "transactions": 0, "least": 0})
    return story


def _refuse(story: Story) -> None:
    """A withdrawal of more than there is, and a call that nobody can answer well."""
    story.ask(5, "refused", "accounts.withdraw", account_id="b", amount=500, note=...)
    error = {"details": {"balance": 110, "cost": 500}, "message": "balance 110 is below the amount 500 (cents)"}
    story.receive(5.1, "refused", {"error": "InsufficientCredits", **error})
    story.tell(5.2, "error", "refused", code="InsufficientCredits", reason=None, **error)
    story.ask(6, "bad", "accounts.deposit", account_id="b", amount=-5, note=...)
    story.line("invoke", "bad")["kind"] = "bad"
    story.tell(6.1, "error", "bad", code="InvalidRequest", reason="invalid_argument", details={}, message="-5")


def _mark(story: Story) -> None:
    """Marks, one of them sent without waiting; a task, and its claimant."""
    for mono, name in ((7, "note"), (8, "sent")):
        story.ask(mono, name, "chaos.note", mark=...)
        story.tables["notes"].append({"note_id": mono, "mark": id_of(name), "kind": "note"})
        story.receive(mono + 0.1, name, {"result": 1}, happened("Noted", "mark", id_of(name), kind="note"))
    story.tell(7.2, "ok", "note", result=1)
    story.line("invoke", "sent")["sent"] = True
    story.tell(8.05, "confirmed", "sent")
    story.tell(8.3, "outcome", "sent", state="done", fence=False, result=1)
    for mono, name, kind, table in ((9, "offer", "Offered", "tasks"), (10, "claim", "Claimed", "claims")):
        story.ask(mono, name, f"chaos.{name}", mark=...)
        story.tables[table].append({"task_id": 1, "mark": id_of(name)})
        story.receive(mono + 0.1, name, {"result": 1}, happened(kind, "task", "1", mark=id_of(name)))
        story.tell(mono + 0.2, "ok", name, result=1)
    story.tables["tasks"][0]["claimed_by"] = id_of("claim")


def _leave_open(story: Story) -> None:
    """One that nobody answered and that was fenced, one that met a bug and is kept."""
    story.ask(11, "fenced", "chaos.note", mark=...)
    story.tell(12, "unknown", "fenced", why="OutcomeUnknown")
    story.tell(12.2, "outcome", "fenced", state="fenced", fence=True, error={"error": "Conflict", "message": ""})
    story.receive(12.1, "fenced", {"error": "Conflict", "message": "", "details": {"reason": "fenced"}})
    story.receipt("fenced")["deadline"] = "infinity"
    story.ask(13, "tripped", "chaos.trip", mark=...)
    told = "a bug on the worker's side; the call did not run and is kept for replay under this id"
    story.tell(13.1, "error", "tripped", code="InternalError", reason=None, details={}, message=told)
    story.tables["dead_letters"].append(letter("tripped", "chaos.trip", "internal", 13.1))


def letter(name: str, method: str, reason: str, mono: float) -> dict[str, Any]:
    """A dead letter of a call that has only its mark."""
    body = json.dumps({"id": id_of(name), "method": method, "args": {"mark": id_of(name)}})
    about = {"id": id_of(name), "reason": reason, "method": method, "error": "it failed", "state": "open"}
    return {**about, "last_at": _stamp(mono), "body": body, "replay_id": None}


def numbers(findings: Iterable[Finding]) -> set[tuple[str, str]]:
    """Kind and check of each."""
    return {(finding.kind, finding.check) for finding in findings}
