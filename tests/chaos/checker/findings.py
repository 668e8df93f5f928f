"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["lost", "doubled", "wrong", "unexplained"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that should not be."""

    kind: Kind
    check: str
    """The check's number: ``C1`` to ``C16``."""
    id: str
    """Of the call it is about; or whatever else names it."""
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.check} {self.id}: {self.what}"
