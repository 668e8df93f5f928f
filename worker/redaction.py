"""What may be shown of a call: its arguments without their secrets, and texts in which none of them is left.

What is secret is read from the JSON schema of the method's arguments. Where that allows a value in several ways, one
that is secret is enough; and where a secret may be, whatever does not fit its schema is taken for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby
from typing import Any

from pydantic_core import from_json, to_json, to_jsonable_python

from rpc_client.contract import Method
from rpc_client.errors import InvalidRequest

MASK = "***"
WITHHELD = "(withheld: a secret of this call is too short to be told from other text)"
SHORT = 4
"""Shorter secrets stand in any text by chance; to mask them there would tell them."""
PIECE = 8
"""So many characters of a secret in a row are not shown: others shorten texts before we see them."""
_SECRET = {"writeOnly": True}
_CHOICES = ("anyOf", "oneOf", "allOf")


def takes_secrets(method: Method[..., Any]) -> bool:
    """Whether anything in its arguments is secret."""
    schema = _schema(method)
    return schema.holds(schema.whole)


def redacted(method: Method[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as JSON values, each secret as ``***``. They need not fit the method."""
    shown: dict[str, Any] = _schema(method).shown(arguments, lambda secret: None if secret is None else MASK)
    return shown


def secrets_of(method: Method[..., Any], arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Every text and number of the arguments that must not be seen. They need not fit the method."""
    found: list[str] = []
    _schema(method).shown(arguments, lambda secret: found.extend(_leaves(secret)))
    return tuple(dict.fromkeys(found))


def scrubbed(text: str, secrets: Sequence[str]) -> str:
    """The text, each secret in it as ``***``: as it is, escaped as in JSON or ``repr``, and in pieces.

    Where one of less than four characters occurs in it, the whole text is withheld.
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    if not forms:
        return text
    if any(len(form) < SHORT and form in text for form in forms):
        return WITHHELD
    shown = _masked(text, forms)
    # A mask may have made a secret of what stands around it.
    return WITHHELD if any(form in shown for form in forms) else shown


def without_secrets(method: Method[..., Any], error: InvalidRequest, encoded: bytes) -> InvalidRequest:
    """A refusal of these arguments in words that hold no secret: a family's own validator may have quoted one."""
    if not takes_secrets(method):
        return error
    secrets = secrets_of(method, from_json(encoded))
    path = {name: scrubbed(value, secrets) for name, value in error.details.items() if name == "path"}
    return InvalidRequest(scrubbed(error.message, secrets), {**error.details, **path})


class _Schema:
    """The JSON schema of a method's arguments, and where in it secrets are."""

    def __init__(self, method: Method[..., Any]) -> None:
        self.whole = method.arguments.model_json_schema()
        self._holding: dict[int, bool] = {}

    def shown(self, arguments: Mapping[str, Any], hide: Callable[[Any], Any]) -> Any:
        """The arguments as JSON values, every secret replaced by what `hide` makes of it."""
        values = to_jsonable_python(arguments, inf_nan_mode="constants", fallback=str)
        return self._shown(values, [self.whole], hide) if self.holds(self.whole) else values

    def _shown(self, value: Any, schemas: Sequence[Any], hide: Callable[[Any], Any]) -> Any:
        choices = [choice for schema in schemas for choice in self._choices(schema)]
        if any(choice.get("writeOnly") for choice in choices):
            return hide(value)
        if not any(map(self.holds, choices)):
            return value
        if isinstance(value, dict) and any(self.holds(choice.get("propertyNames")) for choice in choices):
            return hide([*value, *value.values()])
        if isinstance(value, dict) and any("properties" in c or "additionalProperties" in c for c in choices):
            return {name: self._shown(inner, _under(choices, name), hide) for name, inner in value.items()}
        if isinstance(value, list) and any("items" in choice or "prefixItems" in choice for choice in choices):
            return [self._shown(inner, _at(choices, n), hide) for n, inner in enumerate(value)]
        return hide(value)

    def holds(self, schema: Any) -> bool:
        """Whether what this schema allows may have a secret in it."""
        if id(schema) not in self._holding:
            self._holding[id(schema)] = any(part.get("writeOnly") for part in self._reached(schema, _parts))
        return self._holding[id(schema)]

    def _choices(self, schema: Any) -> Iterator[dict[str, Any]]:
        """The schemas that one value at this place may have to fit."""
        return self._reached(schema, lambda one: [choice for word in _CHOICES for choice in one.get(word, ())])

    def _reached(self, schema: Any, inner: Callable[[dict[str, Any]], list[Any]]) -> Iterator[dict[str, Any]]:
        """A schema and all that it leads to, each once. (``true`` and ``false`` are schemas too, and hold nothing.)"""
        seen = set[int]()
        waiting = [schema]
        while waiting:
            one = waiting.pop()
            if not isinstance(one, dict) or id(one) in seen:
                continue
            seen.add(id(one))
            yield one
            waiting += inner(one)
            if "$ref" in one:
                waiting.append(self.whole["$defs"][one["$ref"].rpartition("/")[2]])


_schema = cache(_Schema)


def _parts(schema: dict[str, Any]) -> list[Any]:
    """The schemas inside of one."""
    named = [part for word in ("properties", "patternProperties") for part in schema.get(word, {}).values()]
    listed = [part for word in (*_CHOICES, "prefixItems") for part in schema.get(word, ())]
    return named + listed + [schema.get(word) for word in ("items", "additionalProperties", "propertyNames")]


def _under(choices: Sequence[dict[str, Any]], name: str) -> list[Any]:
    """The schemas of what stands under this name. What the contract does not know there may be a secret misspelt."""
    declared = [choice["properties"][name] for choice in choices if name in choice.get("properties", ())]
    others = [
        part
        for choice in choices
        for part in [choice.get("additionalProperties"), *choice.get("patternProperties", {}).values()]
        if isinstance(part, dict)
    ]
    return declared + others or [_SECRET]


def _at(choices: Sequence[dict[str, Any]], n: int) -> list[Any]:
    """The schemas of what stands at this place of a list."""
    placed = [choice["prefixItems"][n] for choice in choices if n < len(choice.get("prefixItems", ()))]
    others = [choice["items"] for choice in choices if isinstance(choice.get("items"), dict)]
    return placed + others or [_SECRET]


def _leaves(value: Any) -> Iterator[str]:
    """The texts and numbers of a JSON value, as they may stand in other texts."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield value
    elif value is not None and not isinstance(value, bool):
        yield from {repr(value), to_json(value, inf_nan_mode="constants").decode()}


def _forms(secret: str) -> set[str]:
    """How a secret may stand in a text: as it is, quoted in some way, and quoted again."""
    forms = {secret}
    for _ in range(2):
        forms |= {quoted for form in forms for quoted in _quoted(form)}
    return forms


def _quoted(text: str) -> Iterator[str]:
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield repr(text + "\"'")[1:-4]  # as it is quoted beside a quotation mark
    yield repr(text.encode(errors="surrogatepass"))[2:-1]


def _masked(text: str, forms: set[str]) -> str:
    hidden = bytearray(len(text))
    for size in {min(len(form), PIECE) for form in forms}:
        there = _pieces(text, size)
        # Made of the text, which is short: a secret may be a megabyte.
        secret = {piece for form in forms if min(len(form), PIECE) == size for piece in _pieces(form, size, there)}
        for n in range(len(text) - size + 1):
            if text[n : n + size] in secret:
                hidden[n : n + size] = b"\1" * size
    parts = groupby(range(len(text)), hidden.__getitem__)
    return "".join(MASK if is_hidden else "".join(text[n] for n in places) for is_hidden, places in parts)


def _pieces(text: str, size: int, among: set[str] | None = None) -> set[str]:
    pieces = (text[n : n + size] for n in range(len(text) - size + 1))
    return set(pieces) if among is None else {piece for piece in pieces if piece in among}
