"""Puts the tables of a run into ``docs/performance.md``, between its marks."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.report import Results, markdown

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


def write_document(path: Path, results: Results, *, rounds: int, seconds: float) -> None:
    """Replace what stands between the marks. The prose around them is nobody's business here."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} lacks the marks {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{_tables(results, rounds, seconds)}\n\n{END}{after}")


def _tables(results: Results, rounds: int, seconds: float) -> str:
    where = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    how = f"{rounds} rounds of {seconds:g} s, medians; ratios with their range over the rounds"
    parts = [f"{when}, {where}; {how}. Other work on the machine took {results.others:.0%} of it meanwhile."]
    if len(must_show := results.must_show()) > 1:
        parts += ["### What it must show", markdown(must_show)]
    for cell in results.cells():
        parts += [f"### {cell.name}", markdown(results.table(cell))]
    return "\n\n".join(parts)
