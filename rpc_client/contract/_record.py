"""``Record``: a typed row, as methods take and return it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import core_schema


class Record(BaseModel):
    """A typed row. Frozen; fields of a newer worker that this client does not know are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=(), allow_inf_nan=False)


def as_utc(moment: datetime) -> datetime:
    """The same moment in UTC; a naive one is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""What the database's driver takes for -infinity and infinity, which no client could read."""


class _Moment:
    """How a moment is read: from JSON with its zone, from Python as UTC."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        # Results are read from JSON: not to call Python for each of their moments halves what those cost.
        return core_schema.json_or_python_schema(
            json_schema=core_schema.datetime_schema(tz_constraint="aware", gt=FIRST, lt=LAST),
            python_schema=core_schema.no_info_after_validator_function(as_utc, handler(source)),
        )


Timestamp = Annotated[datetime, _Moment()]
"""A moment, in UTC in every result. A naive one of a program is taken as UTC; on the wire it is refused."""
