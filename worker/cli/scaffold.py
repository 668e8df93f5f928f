"""``rowcall new``."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from string import Template
from typing import Annotated

import typer

from rpc_client import __version__
from worker.cli.console import fail, out

app = typer.Typer(help="Begin something of your own.", no_args_is_help=True)

TEMPLATES = files("worker.cli") / "templates" / "family"
NAME = re.compile(r"[a-z][a-z0-9_]{1,29}")
RESERVED = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
    column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
    current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
    from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like
    limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table tablesample then to
    trailing true union unique user using variadic verbose when where window with
"""
SQL_WORDS = frozenset(RESERVED.split())
"""What PostgreSQL does not take for a schema's name unquoted; a test compares them with the server's own list."""
OWN_WORDS = frozenset({"rowcall", "repository", "documents", "server_agent", "tables", "public", "tests", "worker"})
"""Families and folders that are there already. (`platform` is a module of Python's own.)"""
CLASS_NAMES = """
    annotated conflict event_data family field item item_added quantity_changed record registry service timestamp
    transaction
"""
CLASSES = frozenset(CLASS_NAMES.split())
"""What would be called like something that the scaffold imports or declares."""


@app.callback()
def new() -> None:
    """Begin something of your own."""


@app.command("family")
def family(
    name: Annotated[str, typer.Argument(help="Its name on the wire, in SQL and in Python, as in stock.")],
    directory: Annotated[Path, typer.Option(help="Where its folder is made.", file_okay=False)] = Path(),
) -> None:
    """Write a package with a family of methods: contract, SQL, migration, story, registration and tests."""
    if (why := refusal(name)) is not None:
        fail(f"{name!r} cannot be a family's name: {why}")
    target = directory / name
    if target.exists():
        fail(f"{target} exists already; choose another name, or another --directory")
    try:
        for path, text in scaffold(name):
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            out.print(f"  {file}", markup=False, soft_wrap=True)
    except OSError as error:
        fail(error)
    out.print(f"Next: cd {target}, then as its README.md says.", markup=False, soft_wrap=True)


def refusal(name: str) -> str | None:
    """Why this cannot be the name of a family, a package and a schema at once; None when it can."""
    if NAME.fullmatch(name) is None:
        return "use 2 to 30 of a-z, 0-9 and _, a letter first"
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        return "it is a word of Python's"
    if name in SQL_WORDS or name.startswith("pg_"):
        return "it is a word of SQL's"
    if name in OWN_WORDS | CLASSES:
        return "Rowcall uses it itself"
    if name in sys.stdlib_module_names or find_spec(name) is not None:
        return "a Python module of that name is installed already"
    return None


def scaffold(name: str) -> Iterator[tuple[PurePosixPath, str]]:
    """The files of a new family: path in its folder, and text."""
    title = "".join(part.capitalize() for part in name.split("_"))
    public = sorted([f"Async{title}", "Item", title])
    words = {
        "name": name,
        "dashed": name.replace("_", "-"),
        "title": title,
        "imported": ", ".join(sorted(["Item", "QuantityChanged", title])),
        "public": ", ".join(public),
        "quoted": ", ".join(f'"{word}"' for word in public),
        "version": __version__,
    }
    for path, text in _templates(TEMPLATES, PurePosixPath()):
        yield PurePosixPath(str(path).replace("NAME", name).removesuffix(".tmpl")), Template(text).substitute(words)


def _templates(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _templates(entry, path / entry.name)
        else:
            yield path / entry.name, entry.read_text(encoding="utf-8")
