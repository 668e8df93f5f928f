"""Dead letters for people: tables, one letter whole, and what became of many."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import UTC, datetime

from rich.markup import escape
from rich.table import Table

from worker.cli.console import out
from worker.desk import Group, Letter, Report, Shown, Step

TOLD = 20
"""So many that failed are told one by one."""


def letter_table(letters: Sequence[Letter]) -> Table:
    """Letters, one a line."""
    table = Table("number", "failed", "method", "reason", "state", "error", box=None)
    for letter in letters:
        state = letter.state if letter.outcome is None else f"{letter.state}: {letter.outcome}"
        table.add_row(
            str(letter.number),
            ago(letter.last_at),
            escape(letter.method),
            letter.reason,
            state,
            escape(first_line(letter.error)),
        )
    return table


def group_table(groups: Sequence[Group]) -> Table:
    """Causes, one a line."""
    table = Table("fingerprint", "letters", "first", "last", "method", "reason", "sample", "error", box=None)
    for group in groups:
        times = (ago(group.first_at), ago(group.last_at))
        what = (escape(group.method), group.reason, str(group.sample), escape(first_line(group.error)))
        table.add_row(group.fingerprint, str(group.count), *times, *what)
    return table


def show_letter(shown: Shown) -> None:
    """Everything there is to see of a letter."""
    letter = shown.letter
    table = Table(show_header=False, box=None)
    for field in fields(letter):
        value = getattr(letter, field.name)
        if value is not None:
            table.add_row(field.name, escape(str(value)))
    for deed in shown.deeds:
        what = f"{deed.action} by {deed.actor} {json.dumps(deed.details)}"
        table.add_row(f"{deed.at:%Y-%m-%d %H:%M:%S}", escape(what))
    out.print(table)
    call = f"not shown: {shown.hidden}" if shown.call is None else json.dumps(shown.call, indent=2, ensure_ascii=False)
    for text in (call, shown.traceback):
        out.print()
        out.print(text, markup=False, soft_wrap=True)


def show_plan(plan: Report) -> None:
    """What a replay would do with each letter."""
    out.print(_steps(plan.steps, "would", lambda step: (step.action, step.why)))
    out.print(_counted(plan.actions))


def show_report(report: Report) -> None:
    """What became of many, those that failed one by one, and those that were not sent."""
    if failed := [step for step in report.steps if step.failed]:
        out.print(_steps(failed[:TOLD], "came to", lambda step: (step.outcome or "", step.told)))
        if len(failed) > TOLD:
            out.print(f"… and {len(failed) - TOLD} more that failed")
    if kept := [step for step in report.steps if step.outcome is None]:
        out.print(_steps(kept[:TOLD], "not sent", lambda step: (step.action, step.why)))
        if len(kept) > TOLD:
            out.print(f"… and {len(kept) - TOLD} more that were not sent")
    out.print(_counted(report.outcomes) or "nothing was sent")
    if report.stopped is not None:
        out.print(f"stopped: {report.stopped}; {report.left} letters were not come to", markup=False, soft_wrap=True)


def _steps(steps: Sequence[Step], what: str, told: Callable[[Step], tuple[str, str]]) -> Table:
    table = Table("number", "method", what, "why", box=None)
    for step in steps:
        word, why = told(step)
        table.add_row(str(step.number), escape(step.method), word, escape(why))
    return table


def _counted(words: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.most_common())


def first_line(text: str) -> str:
    """As much of a text as fits into a line of a table."""
    return text.partition("\n")[0][:120]


def ago(moment: datetime) -> str:
    """How long this is past, in its largest unit."""
    seconds = max((datetime.now(UTC) - moment).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit} ago"
    return f"{seconds:.0f}s ago"
