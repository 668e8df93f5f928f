"""Dead letters where they are kept: found, understood, and run again."""

from __future__ import annotations

from worker.desk.desk import Desk
from worker.desk.records import (
    WAITING,
    Action,
    Deed,
    DeskError,
    Filter,
    Group,
    Imported,
    Letter,
    Reason,
    Report,
    Shown,
    State,
    Step,
)

__all__ = [
    "WAITING",
    "Action",
    "Deed",
    "Desk",
    "DeskError",
    "Filter",
    "Group",
    "Imported",
    "Letter",
    "Reason",
    "Report",
    "Shown",
    "State",
    "Step",
]
