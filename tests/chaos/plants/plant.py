"""What a planted bug is, and how it is put into a process."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any

import worker.served
from worker.statements import Statement, read_statements

Change = Callable[[], None]
SOUND = "sound:"
"""Before a bug's name: everything as for it, but without it. What is found there is no proof of anything."""


def nothing() -> None:
    """Leave it as it is."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A bug on purpose: the checker has to find it."""

    name: str
    what: str
    """For the table."""
    caught_by: str
    """The check that must find it; others may as well."""
    worker: Change = nothing
    """Puts it into a worker's process."""
    client: Change = nothing
    """Puts it into a client's process."""
    bias: Change = nothing
    """Makes clients ask more for what it shows in. That is no bug."""
    faults: str = "kill"
    """What the nemesis does meanwhile, comma-separated."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """What else is different about the run."""


def chosen(plants: Mapping[str, Plant]) -> tuple[Plant | None, bool]:
    """The bug that this process shall have, if any; and whether it shall have it, or only be used as if it had."""
    name = os.environ.get("ROWCALL_PLANT", "")
    return plants.get(name.removeprefix(SOUND)), not name.startswith(SOUND)


def rewrite(name: str, *changes: tuple[str, str]) -> None:
    """From now on a statement of `sql/` is read with these changes. Each must fit, or there would be no bug."""

    def read(family: str, directory: Traversable) -> dict[str, Statement]:
        statements = before(family, directory)
        if name in statements:
            text = statements[name].text
            for old, new in changes:
                assert old in text, f"{name} does not hold {old!r}"
                text = text.replace(old, new)
            statements[name] = Statement.compile(name, text)
        return statements

    before: Callable[[str, Traversable], dict[str, Statement]] = getattr(
        worker.served, "read_statements", read_statements
    )
    worker.served.read_statements = read
