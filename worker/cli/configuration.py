"""``rowcall config``."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from dotenv import dotenv_values
from pydantic import SecretStr
from rich.table import Table

from worker.cli.console import out
from worker.cli.manual import settings_page
from worker.settings import WorkerSettings

_PASSWORD = re.compile(r"(://[^:/@]*:)[^@]*@")


def config(
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON object.")] = False,
    markdown: Annotated[bool, typer.Option(help="Instead, the manual of all settings, as Markdown.")] = False,
) -> None:
    """Print the effective settings and where each comes from; passwords are masked."""
    if markdown:
        typer.echo(settings_page(), nl=False)
        return
    settings = WorkerSettings()
    rows = {name: (shown(getattr(settings, name)), source(name)) for name in WorkerSettings.model_fields}
    if as_json:
        typer.echo(json.dumps({n: {"value": value, "source": where} for n, (value, where) in rows.items()}, indent=2))
        return
    table = Table("setting", "value", "from", "meaning", box=None)
    for name, (value, where) in rows.items():
        table.add_row(f"ROWCALL_{name.upper()}", value, where, WorkerSettings.model_fields[name].description)
    out.print(table)


def shown(value: Any) -> str:
    """A setting for people; of an address, everything but the password, and of keys only that there are some."""
    if isinstance(value, SecretStr):
        text = value.get_secret_value()
        return _PASSWORD.sub(r"\1***@", text) if "://" in text or not text else "***"
    return ",".join(value) if isinstance(value, list) else str(value)


def source(name: str) -> str:
    """Where a setting's value comes from: the same order in which settings are read."""
    variable = f"ROWCALL_{name.upper()}"
    files = WorkerSettings.model_config.get("env_file") or ()
    assert isinstance(files, tuple)
    if any(variable == key.upper() for key in os.environ):
        return "environment"
    for file in reversed(files):
        if any(variable == key.upper() for key in dotenv_values(file)):
            return str(file)
    directory = WorkerSettings.model_config.get("secrets_dir")
    if isinstance(directory, str) and any(variable == file.name.upper() for file in Path(directory).iterdir()):
        return directory
    return "default"
