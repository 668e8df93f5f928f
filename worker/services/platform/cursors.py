"""Where a page of things that are ordered by moment and id ends, as a text for the caller to bring back."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Annotated

from pydantic import Field, TypeAdapter

from rpc_client.contract import Timestamp
from rpc_client.errors import InvalidRequest, Reason

Place = tuple[Timestamp, Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]]
_PLACE: TypeAdapter[Place] = TypeAdapter(Place)


def write_cursor(moment: datetime, last_id: str) -> str:
    """The text for the place of the last thing of a page."""
    return base64.urlsafe_b64encode(json.dumps([moment.isoformat(), last_id]).encode()).decode()


def read_cursor(given: str, method: str) -> Place:
    """The place a cursor means. Decoding overlooks much, so only the very text that we would write is one."""
    try:
        place = _PLACE.validate_json(base64.urlsafe_b64decode(given), strict=True)
    except ValueError:
        place = None
    if place is None or write_cursor(*place) != given:
        message = f"cursor is not one that {method} gave; leave it out for the first page"
        raise InvalidRequest(message, {"reason": Reason.INVALID_ARGUMENT, "argument": "cursor"})
    return place
