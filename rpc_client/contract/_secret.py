"""``Secret``: what nobody but the method itself is to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks an argument, or a field in it, as secret: ``token: Annotated[str, Secret()]``.

    To clients, workers and SQL it is the type it marks; pydantic's own ``SecretStr`` would travel as asterisks. What it
    marks as a whole, a record or a list, is secret in every part. Dead letters keep secrets sealed only, and never show
    them; errors and logs do not hold them. They travel as they are, in calls and in the results of reads: between here
    and the worker, TLS hides them. Neither a write's result nor an event is a place for one: those are stored as they
    are, and no worker serves a write that says so.
    """

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "writeOnly": True, "format": "password"}
