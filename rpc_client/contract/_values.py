"""Arguments as a worker reads them, results as it writes them: what both sides, and a stub in a test, agree on."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from rpc_client.arguments import SHOWN, is_finite
from rpc_client.contract._method import Method
from rpc_client.errors import InvalidRequest, Reason, UnreadableResult

R = TypeVar("R")


def read_arguments(method: Method[..., Any], encoded: bytes) -> dict[str, object]:
    """The arguments as the contract's types, defaults filled in. InvalidRequest names the first that does not fit."""
    try:
        return vars(method.arguments.model_validate_json(encoded, strict=True))
    except ValidationError as error:
        raise _misfit(method, error) from None


def _misfit(method: Method[..., Any], error: ValidationError) -> InvalidRequest:
    first = _first(error)
    path = ".".join(str(part)[:SHOWN] for part in first["loc"])
    if first["type"] == "missing" and len(first["loc"]) == 1:
        message = f"{method.name}: argument {path!r} is missing; it takes {method.shown_signature}"
        reason = Reason.MISSING_ARGUMENT
    elif first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        message = f"{method.name}: there is no argument {path!r}; it takes {method.shown_signature}"
        reason = Reason.UNKNOWN_ARGUMENT
    else:
        message, reason = f"{method.name}: argument {path!r}: {first['msg']}", Reason.INVALID_ARGUMENT
    argument = str(first["loc"][0])[:SHOWN] if first["loc"] else None
    return InvalidRequest(message, {"reason": reason, "argument": argument, "path": path})


def _first(error: ValidationError) -> dict[str, Any]:
    """The first of its errors. There may be a million, and to make Python's of all of them would take seconds."""
    text = error.json(include_url=False, include_context=False, include_input=False)
    found: dict[str, Any] = json.JSONDecoder().raw_decode(text, text.index("{"))[0]
    return found


def read_result(method: Method[..., R], encoded: bytes, *, request_id: str) -> R:
    """The result as the contract's type. UnreadableResult where that cannot hold it."""
    try:
        return method.result.validate_json(encoded)
    except ValidationError as error:
        message = f"{method.name} answered what {method.returns} cannot hold: {error.error_count()} fields differ"
        raise UnreadableResult(message, request_id=request_id, method=method.name) from error


def write_result(method: Method[..., R], result: R) -> str:
    """The result as JSON. ValueError when it is not what the method's contract says, or nothing that JSON can say."""
    text = method.result.dump_json(valid := method.result.validate_python(result)).decode()
    # A number that is not finite would be written as null, and be something else to whoever reads it.
    if "null" in text and not is_finite(method.result.dump_python(valid)):
        raise ValueError(f"{method.name} answers a number that is not finite, which JSON cannot say")
    return text
