"""Reads ``sql/``: files of named statements, each with ``:name`` parameters.

::

    -- name: get_balance
    -- The balance in cents.
    select cents from accounts.balances where account_id = :account_id;

A statement's full name is ``family.name``; the file it stands in does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

_HEADER = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ | --[^\n]* | /\*.*?\*/ | ::
        | (?<![\w:]):(?P<name>[a-z_][a-z0-9_]*)""",
    re.DOTALL | re.VERBOSE,
)
REPLY = "select * from reply;"
"""How every one-statement write ends; the worker puts the receipt in its place."""


class StatementError(Exception):
    """A statement breaks a rule; the worker does not start."""


@dataclass(frozen=True)
class Statement:
    """One named SQL statement: ``text`` with ``:names``, ``sql`` with ``$n`` in the order of ``parameters``."""

    name: str
    text: str
    sql: str
    parameters: tuple[str, ...]

    @classmethod
    def compile(cls, name: str, text: str) -> Statement:
        """Number the parameters: the same name keeps its number. Strings, comments and casts are left alone."""
        parameters: list[str] = []

        def number(match: re.Match[str]) -> str:
            parameter = match["name"]
            if parameter is None:
                return match[0]
            if parameter not in parameters:
                parameters.append(parameter)
            return f"${parameters.index(parameter) + 1}"

        sql = _TOKEN.sub(number, text)
        return cls(name, text, sql, tuple(parameters))

    def bind(self, values: Mapping[str, object]) -> tuple[object, ...]:
        """The values of its parameters, in their order."""
        return tuple([values[name] for name in self.parameters])

    @property
    def body(self) -> str:
        """The text without its final semicolon, to be put inside another."""
        return self.text.rstrip().removesuffix(";")

    @cached_property
    def as_record(self) -> Statement:
        """The same, its one row as the text of a JSON object; null where there is no row."""
        return self._wrapped(f"(select row_to_json(q)::text from (\n{self.body}\n) as q)")

    @cached_property
    def as_list(self) -> Statement:
        """The same, its rows as the text of a JSON array, in the statement's order. ``json_agg`` would add newlines."""
        rows = f"(select coalesce(string_agg(row_to_json(q)::text, ','), '') from (\n{self.body}\n) as q)"
        return self._wrapped(f"'[' || {rows} || ']'")

    @cached_property
    def as_value(self) -> Statement:
        """The same, its one column as JSON text; null where there is no row."""
        return self._wrapped(f"(select to_json(q.value)::text from (\n{self.body}\n) as q (value))")

    def _wrapped(self, expression: str) -> Statement:
        return Statement.compile(self.name, f"select {expression} as result, :_n::int as n")


def read_statements(family: str, directory: Traversable) -> dict[str, Statement]:
    """Every statement of a family's folder, by full name."""
    statements: dict[str, Statement] = {}
    for file in sorted(directory.iterdir(), key=lambda f: f.name):
        if not file.name.endswith(".sql"):
            continue
        _, *parts = _HEADER.split(file.read_text(encoding="utf-8"))
        for short, text in zip(parts[::2], parts[1::2], strict=True):
            name = f"{family}.{short}"
            if name in statements:
                raise StatementError(f"{file.name}: statement {name} exists already")
            statements[name] = Statement.compile(name, text.strip())
    return statements


def sql_root() -> Traversable:
    """Rowcall's own SQL: inside the installed package, or beside it in a checkout."""
    installed = files("worker") / "sql"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "sql"
