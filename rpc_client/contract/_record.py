"""``Record``: a typed row, as methods take and return it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Record(BaseModel):
    """A typed row. Frozen; fields of a newer worker that this client does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC; a naive one is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Timestamp = Annotated[datetime, AfterValidator(as_utc)]
"""A moment; always in UTC once it is in a record."""
