"""The run directory: what a run leaves for the checker, and how its lines are written.

::

    run.json                    seed, duration, prefix, when it began
    nemesis.jsonl               every fault: "fault", "target", "pid", "at", "mono", "until"
    crew.jsonl                  every start and end of a process of ours
    history/client-<n>.jsonl    what a client did, written before it did it
    history/replays.jsonl       which dead letters were replayed in the end, and what that came to
    logs/                       what each process said
    auditor.jsonl               sums seen while it all happened
    dump/                       what is left in the end: tables, stream, queues, leaks
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """A file of JSON lines, each of them whole in the file before `write` returns: one system call, no buffer."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, **fields: Any) -> None:
        """Add a line, stamped with both clocks unless it says when it was."""
        stamped = {"at": time.time(), "mono": time.monotonic()} | fields
        os.write(self._descriptor, json.dumps(stamped, default=str).encode() + b"\n")

    def close(self) -> None:
        os.close(self._descriptor)


class Folder:
    """The paths of one run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run = root / "run.json"
        self.nemesis = root / "nemesis.jsonl"
        self.crew = root / "crew.jsonl"
        self.history = root / "history"
        self.replays = self.history / "replays.jsonl"
        self.logs = root / "logs"
        self.dump = root / "dump"

    def make(self) -> None:
        for folder in (self.root, self.history, self.logs, self.dump):
            folder.mkdir(parents=True, exist_ok=True)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file; a last one that its writer did not finish, because it was killed, is left out."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            if line.endswith("\n") and line.startswith("{"):
                yield json.loads(line)
