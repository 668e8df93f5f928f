"""What a run left, read for its figures: who called, who answered, who died and of what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import orjson

from tests.chaos.folder import Folder, lines
from worker.suspects import BEGINS, DECIDES

CRASHED = re.compile(r"crash point (K\d+)")
SILENT = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+\d\d:\d\d)")
ENDS = {"ok", "error", "unknown"}


@dataclass(slots=True)
class Asked:
    """One request id: the first call under it, and what its caller heard."""

    method: str
    kind: str
    mono: float
    timeout_s: float
    client: int | None = None
    sent: bool = False
    twin: bool = False
    """Whether it was asked for twice at once."""
    heard: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answered:
    """A line of a worker's log about one call."""

    worker: str
    id: str
    method: str
    outcome: str
    redelivered: bool
    mono: float


class Evidence:
    """One run's folder."""

    def __init__(self, root: Path) -> None:
        self._folder = Folder(root)
        self.about: dict[str, Any] = orjson.loads(self._folder.run.read_bytes())
        self.deeds = [*lines(self._folder.nemesis)]
        self._skew = self.about["started_at"] - self.about["mono"]

    def done(self, *faults: str) -> list[dict[str, Any]]:
        """The deeds of these names."""
        return [deed for deed in self.deeds if deed["fault"] in faults]

    @cached_property
    def asked(self) -> Mapping[str, Asked]:
        """Every request id that a client invoked."""
        found: dict[str, Asked] = {}
        for path in sorted(self._folder.history.glob("client-*.jsonl")):
            for line in lines(path):
                if line["what"] == "invoke":
                    asked = found.setdefault(line["id"], _asked(line))
                    asked.twin |= line.get("twin", False)
                elif line.get("id") in found:
                    found[line["id"]].heard.append(line)
        return found

    @cached_property
    def good(self) -> list[float]:
        """When callers heard results, in order."""
        heard = (line for asked in self.asked.values() for line in asked.heard)
        return sorted(line["mono"] for line in heard if line["what"] == "ok")

    @cached_property
    def answered(self) -> list[Answered]:
        """Every call that a worker logged."""
        return sorted(
            (answered for path in self._worker_logs() for answered in self._answered_in(path)),
            key=lambda answered: answered.mono,
        )

    @cached_property
    def deaths(self) -> Counter[str]:
        """How often a worker was killed, by what: the nemesis, a crash point, or a call of this id."""
        found = Counter({"nemesis": len(self.done("kill", "lone-kill"))})
        for path in self._worker_logs():
            for line in path.read_text(errors="replace").splitlines()[-3:]:
                if match := CRASHED.search(line):
                    found[match[1]] += 1
                elif '"dying"' in line and line.startswith("{"):
                    found[orjson.loads(line)["mark"]] += 1
        return found

    def killed_beside(self, request_id: str) -> bool:
        """Whether a worker that ran this suspect died of another call, or nobody says that any ran it."""
        began = f'"id":"{request_id}"'
        texts = [path.read_text(errors="replace").splitlines() for path in self._worker_logs()]
        ran = [text for text in texts if _ran([line for line in text if began in line])]
        last_words = [line for text in ran for line in text[-3:] if '"dying"' in line]
        return not ran or any(request_id not in line for line in last_words)

    @cached_property
    def lives(self) -> list[tuple[float, float]]:
        """From when to when each worker took calls."""
        starts, ends = {}, {}
        for line in lines(self._folder.crew):
            if line["what"] == "start" and line["name"].startswith("worker-"):
                starts[line["pid"]] = line["log"]
            elif line["what"] == "end":
                ends[line["pid"]] = line["mono"]
        found = []
        for pid, log in starts.items():
            said = (self._mono(line) for line in lines(self._folder.logs / log) if line.get("event") == "consuming")
            if (first := next(said, None)) is not None:
                found.append((first, ends.get(pid, inf)))
        return found

    def ended(self, pid: int) -> float:
        """When a process came to its end, if ever."""
        ends = (line["mono"] for line in lines(self._folder.crew) if line["what"] == "end" and line["pid"] == pid)
        return next(ends, inf)

    def silences(self) -> list[float]:
        """When the broker gave a peer up that it had not heard of."""
        log = self._folder.logs / "rabbitmq.log"
        text = log.read_text(errors="replace").splitlines() if log.exists() else []
        found, stamp = [], None
        for line in text:
            stamp = SILENT.match(line) or stamp
            if "missed heartbeats" in line and stamp is not None:
                found.append(datetime.fromisoformat(stamp[1]).timestamp() - self._skew)
        return found

    def _worker_logs(self) -> list[Path]:
        return sorted(self._folder.logs.glob("worker-*.log"))

    def _answered_in(self, path: Path) -> Iterator[Answered]:
        worker = path.stem.rpartition("-")[0]
        for line in lines(path):
            if line.get("event") == "call" and line.get("id") is not None:
                mono = self._mono(line)
                yield Answered(worker, line["id"], line["method"], line["outcome"], line["redelivered"], mono)

    def _mono(self, line: Mapping[str, Any]) -> float:
        return datetime.fromisoformat(line["timestamp"]).timestamp() - self._skew


def _ran(said: Sequence[str]) -> bool:
    """Whether a worker's lines of a suspect tell that it ran, or that its run decided and the worker said no more."""
    return any(BEGINS in line for line in said) or DECIDES in "".join(said[-1:])


def _asked(invoke: dict[str, Any]) -> Asked:
    return Asked(
        invoke["method"],
        invoke["kind"],
        invoke["mono"],
        invoke.get("timeout_s", inf),
        invoke.get("client"),
        invoke.get("sent", False),
    )
