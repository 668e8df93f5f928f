"""The settings as a page of Markdown: `docs/configuration.md` is what `rowcall config --markdown` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import SecretStr

from rpc_client.settings import ClientSettings
from worker.settings import WorkerSettings

HEAD = """\
# Configuration

<!-- Made by `make docs` from rpc_client/settings.py and worker/settings.py; a test keeps it equal. Change those. -->

Every setting is a variable `ROWCALL_…`. The first of these places that names it wins:

1. the environment;
2. `.env` in the folder where the program starts;
3. `.rowcall/env` there, which `rowcall up` writes;
4. a file of the setting's name in lower case (`rowcall_amqp_url`) in the directory that `ROWCALL_SECRETS_DIR` names,
   which is set in the environment itself: for secrets that an orchestrator mounts.

`rowcall config` prints what holds here and where each value comes from, passwords masked. A value outside of its limits
keeps a program from starting, with one line that names the variable. In Python the same names in lower case are the
fields of `ClientSettings` and `WorkerSettings`: `AsyncClient(ClientSettings(timeout_s=3))`.

Two more variables are no settings: `ROWCALL_INSTALL=1` allows `rowcall up` to install missing servers (Debian or
Ubuntu, as root), and `make` sets it for all that it runs, unless it is set to 0; `ROWCALL_WITH` says how `rowcall up`
starts servers.
"""
UNITS = {
    "s": "seconds",
    "bytes": "bytes",
    "days": "days",
    "url": "URL",
    "port": "port",
    "size": "connections",
    "prefetch": "messages",
    "calls": "calls",
    "depth": "levels",
    "replays": "replays",
    "entries": "entries",
}
"""A setting's unit, by the last word of its name."""


def settings_page() -> str:
    """The whole page."""
    client = list(ClientSettings.model_fields)
    worker = [name for name in WorkerSettings.model_fields if name not in client]
    return "\n".join([HEAD, "## Clients and workers", "", *_table(client), "", "## Workers", "", *_table(worker), ""])


def _table(names: Iterable[str]) -> list[str]:
    shapes = WorkerSettings.model_json_schema()["properties"]
    rows = [
        f"| `ROWCALL_{name.upper()}` | {WorkerSettings.model_fields[name].description} | {unit(name)} | {default(name)}"
        f" | {limits(shapes[name])} |"
        for name in names
    ]
    return ["| variable | meaning | unit | default | limits |", "|---|---|---|---|---|", *rows]


def unit(name: str) -> str:
    """What a setting is counted in; empty for words."""
    return UNITS.get(name.rpartition("_")[2], "")


def default(name: str) -> str:
    """What holds when nobody says anything."""
    value = WorkerSettings.model_fields[name].get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        return f"`{value.get_secret_value()}`"
    if value is None:
        return "none"
    if isinstance(value, int | float):
        return _number(value)
    return f"`{','.join(value) if isinstance(value, list) else value}`"


def limits(shape: dict[str, Any]) -> str:
    """What a value must keep to, as the schema says it."""
    # One that may be absent is a choice between its type and none.
    shape = next((choice for choice in shape.get("anyOf", []) if choice.get("type") != "null"), shape)
    if "enum" in shape:
        return " or ".join(f"`{word}`" for word in shape["enum"])
    if "pattern" in shape:
        return f"`{shape['pattern']}`"
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {_number(shape[word])}" for word, sign in words.items() if word in shape)


def _number(value: float) -> str:
    """A number for people: powers of two are sizes."""
    if value >= 1 << 20 and value % (1 << 20) == 0:
        return f"{value:.0f} ({value / (1 << 20):.0f} MiB)"
    return f"{value:.0f}" if value == int(value) else str(value)
