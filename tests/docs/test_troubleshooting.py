"""docs/troubleshooting.md and docs/configuration.md keep up with the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpc_client import errors
from rpc_client.errors import Reason, RPCError
from worker.__main__ import EX_CONFIG, EX_TEMPFAIL
from worker.cli.manual import UNITS, settings_page
from worker.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
SECTIONS = {
    name: body
    for names, body in re.findall(r"^### (.+)\n((?:(?!##).*\n)*)", PAGE, re.MULTILINE)
    for name in names.split(", ")
}
"""What is said of each error."""
REFUSALS = {"RegistryError", "StatementError", "MigrationError", "SetupRefusedError", "ServersUnavailable", "KeysError"}
LEVELS = {"warning", "error", "exception"}


def sources() -> Iterator[ast.AST]:
    for package in ("worker", "rpc_client"):
        for file in (ROOT / package).rglob("*.py"):
            if "demo" not in file.parts:
                yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def first_words(message: ast.expr) -> str | None:
    """A stretch of a message that is the same every time: the first that is long enough to mean it, or the longest."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    fixed = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    stretches = [piece.strip(" ,:;/('") for text in fixed for piece in re.split(r"%[rsd]", text)]
    return next((piece for piece in stretches if len(piece) >= 14), max(stretches, key=len, default=None))


def refusals() -> set[str]:
    """What keeps a program from starting, as it is said."""
    raised = [node.exc for node in sources() if isinstance(node, ast.Raise)]
    calls = [call for call in raised if isinstance(call, ast.Call) and getattr(call.func, "id", "") in REFUSALS]
    return {words for call in calls if call.args and (words := first_words(call.args[0]))}


def warnings() -> set[str]:
    """What is logged as a warning or worse."""
    calls = [node for node in sources() if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    logged = [c for c in calls if c.func.attr in LEVELS and getattr(c.func.value, "id", "") == "log"]
    return {words for call in logged if (words := first_words(call.args[0]))}


def test_every_error_has_a_section_that_says_whether_the_call_ran_and_there_are_no_others():
    kinds = {kind.__name__ for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, RPCError)}

    assert SECTIONS.keys() == kinds
    assert [name for name, text in SECTIONS.items() if "**Did it run?**" not in text] == []


def test_every_reason_is_in_the_table_and_no_other():
    table = TEXT.partition("## Reasons of InvalidRequest")[2].partition("## ")[0]
    words = {value for name, value in vars(Reason).items() if name.isupper()}

    assert set(re.findall(r"\| `(\w+)` \|", table)) == words


@pytest.mark.parametrize("said", sorted(refusals()))
def test_every_refusal_to_start_is_explained(said):
    assert said in TEXT


@pytest.mark.parametrize("line", sorted(warnings()))
def test_every_warning_is_explained(line):
    assert line in TEXT


def test_the_exit_codes_are_the_workers():
    assert {f"| {code} | `rowcall worker` |" in TEXT for code in (EX_CONFIG, EX_TEMPFAIL)} == {True}


def test_the_page_of_settings_is_what_the_settings_say():
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == settings_page(), "run: make docs"


def test_every_number_among_the_settings_has_a_unit_and_every_setting_a_meaning():
    fields = WorkerSettings.model_fields
    numbers = [
        name for name, field in fields.items() if isinstance(field.get_default(call_default_factory=True), int | float)
    ]

    assert [name for name in numbers if name.rpartition("_")[2] not in UNITS] == []
    assert [name for name, field in fields.items() if not field.description] == []
