"""The evidence of a run: what clients noted before and after each call, and what the servers held in the end."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.chaos.folder import lines
from tests.chaos.history import METHODS

Row = Mapping[str, Any]
STORED = frozenset({"NotFoundError", "AuthorizationError", "InsufficientCredits", "Conflict"})
"""Errors that are a write's outcome: with one, its receipt says so for ever."""
OPEN = frozenset({"Unavailable"})
"""Errors that say nothing of what will become of a call."""
FINAL = frozenset({"done", "failed", "fenced", "dead_lettered"})
NEVER = float("inf")
KILLED = -9
"""How a process ends that was sent SIGKILL."""
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _in_json(column: str) -> Callable[[Row], list[str]]:
    """Any id in a column of JSON; those of calls are told from others later."""
    return lambda row: ID.findall(json.dumps(row[column]))


def _in(column: str) -> Callable[[Row], list[str]]:
    return lambda row: [row[column]]


MARKS: Mapping[str, Callable[[Row], list[str]]] = {
    "accounts": _in("owner"),
    "entries": _in("note"),
    "notes": _in("mark"),
    "tasks": _in("mark"),
    "claims": _in("mark"),
    "credit_transactions": lambda row: [row["reason"] or row["metadata"].get("context", {}).get("mark", "")],
    "graph_executions": _in_json("stats"),
    "node_executions": _in_json("input_data"),
    "node_outputs": _in_json("data"),
}
"""How a row of each effect table names the calls that made it."""
LOOSE = frozenset({"graph_executions", "node_executions", "node_outputs"})
"""Where ids may stand that are no call's."""


@dataclass(slots=True)
class Asked:
    """One call as its clients saw it: everything that was noted under its id."""

    id: str
    invokes: list[Row] = field(default_factory=list)
    answers: list[Row] = field(default_factory=list)
    """What its callers were told, in the order in which it came."""
    replies: list[Row] = field(default_factory=list)
    """The lines that came in, whether or not anybody still waited for them."""
    ended: float = NEVER
    """When it was first known to have happened."""

    def note(self, line: Row) -> None:
        """One more line of its history."""
        if line["what"] == "invoke":
            self.invokes.append(line)
        elif line["what"] == "reply":
            self.replies.append(line)
        else:
            self.answers.append(line)
            if happened(line):
                self.ended = min(self.ended, line["mono"])

    @property
    def method(self) -> str:
        return str(self.invokes[0]["method"])

    @property
    def args(self) -> dict[str, Any]:
        return dict(self.invokes[0]["args"])

    @property
    def is_write(self) -> bool:
        """Whether it travels among writes: also a method that there is not."""
        found = METHODS.get(self.method)
        return found is None or found.lane == "write"

    @property
    def bad(self) -> bool:
        """Whether it was made so that nobody can answer it well."""
        return any(line.get("kind") == "bad" for line in self.invokes)

    @property
    def began(self) -> float:
        return float(self.invokes[0]["mono"])

    @property
    def done(self) -> list[Row]:
        """The answers that say it happened."""
        return [line for line in self.answers if happened(line)]

    @property
    def fenced(self) -> bool:
        """Whether anybody was told that it never will."""
        return any(line.get("state") == "fenced" or line.get("reason") == "fenced" for line in self.answers)

    @property
    def confirmed(self) -> bool:
        """Whether the broker took it, from a caller who waits for nothing else."""
        return any(line["what"] == "confirmed" for line in self.answers)

    @property
    def is_decided(self) -> bool:
        """Whether anybody knows what became of it, once and for all."""
        return any(
            line["what"] == "ok"
            or (line["what"] == "error" and line["code"] not in OPEN)
            or (line["what"] == "outcome" and line["state"] in FINAL)
            for line in self.answers
        )


def happened(answer: Row) -> bool:
    """Whether an answer says that its call did."""
    return answer["what"] == "ok" or (answer["what"] == "outcome" and answer["state"] == "done")


def refusal(answer: Row) -> Row | None:
    """The error that a call was answered, by whichever way: ``{"error", "details", "message"}``."""
    if answer["what"] == "error":
        return {"error": answer["code"], "details": answer.get("details"), "message": answer.get("message", "")}
    if answer["what"] == "outcome" and answer["state"] == "failed":
        found: Row | None = answer.get("error")
        return found
    return None


def _is_death(line: Row) -> bool:
    return line["what"] == "end" and line["code"] == KILLED and line["name"].startswith("worker-")


@dataclass(frozen=True)
class Evidence:
    """Everything that is known of a run."""

    asked: Mapping[str, Asked]
    tables: Mapping[str, list[Row]]
    """By their names without the schema."""
    stream: list[Row]
    queues: Mapping[str, Any]
    leaks: Mapping[str, Any]
    sums: list[Row]
    """The auditor's."""
    faults: list[Row]
    deaths: list[float]
    """When workers were killed, by whomever, in seconds since 1970."""
    about: Row
    logs: Path

    @classmethod
    def read(cls, run: Path) -> Evidence:
        """What lies in a run's folder."""
        dump = run / "dump"
        tables = {path.stem: list(lines(path)) for path in sorted(dump.glob("*.jsonl"))}
        stream = tables.pop("stream", [])
        return cls(
            asked=_asked(*(run / "history").glob("*.jsonl"), *(run / "replies").glob("*.jsonl")),
            tables=defaultdict(list, tables),
            stream=stream,
            queues=_json(dump / "queues.json"),
            leaks=_json(dump / "leaks.json"),
            sums=list(lines(run / "auditor.jsonl")),
            faults=list(lines(run / "nemesis.jsonl")),
            deaths=[line["at"] for line in lines(run / "crew.jsonl") if _is_death(line)],
            about=_json(run / "run.json"),
            logs=run / "logs",
        )

    @cached_property
    def calls(self) -> list[Asked]:
        """Everything that somebody asked for."""
        return [asked for asked in self.asked.values() if asked.invokes]

    @property
    def writes(self) -> Iterator[Asked]:
        return (asked for asked in self.calls if asked.is_write)

    @cached_property
    def receipts(self) -> Mapping[str, list[Row]]:
        """By id: more than one is wrong already. What each told is read into ``told``."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.tables["receipts"]:
            found[row["id"]].append({**row, "told": json.loads("{" + row["outcome"])})
        return dict(found)

    @cached_property
    def letters(self) -> Mapping[str, list[Row]]:
        """Dead letters, by each id under which they could run."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.tables["dead_letters"]:
            for request_id in {row["id"], row.get("replay_id") or row["id"]}:
                found[request_id].append(row)
        return dict(found)

    @cached_property
    def effects(self) -> Mapping[str, list[tuple[str, Row]]]:
        """By id: the rows of the effect tables that name it, whatever any receipt says."""
        found: dict[str, list[tuple[str, Row]]] = defaultdict(list)
        for table, marks in MARKS.items():
            for row in self.tables[table]:
                for mark in marks(row):
                    if mark and (table not in LOOSE or mark in self.asked):
                        found[mark].append((table, row))
        return dict(found)

    def stands(self, request_id: str) -> Row | None:
        """What its receipt says: ``{"result"}``, ``{"error", …}``, or nothing."""
        rows = self.receipts.get(request_id)
        return rows[0]["told"] if rows else None

    def counted(self, request_id: str) -> Counter[str]:
        """How many rows of each effect table name it."""
        return Counter(table for table, _ in self.effects.get(request_id, ()))


def _asked(*histories: Path) -> dict[str, Asked]:
    """All clients' histories together. What is noted of an id that nobody invoked has no invocation."""
    found: dict[str, Asked] = {}
    every = [line for path in histories for line in lines(path)]
    for line in sorted(every, key=lambda line: line["mono"]):
        if line.get("id") is not None:
            found.setdefault(line["id"], Asked(line["id"])).note(line)
    return found


def _json(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else {}
