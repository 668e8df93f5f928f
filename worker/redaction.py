"""What may be shown of a call: its arguments without their secrets, and texts in which none of them is left.

What is secret is read from the JSON schema of the method's arguments. Where that allows a value in several ways, one
that is secret is enough; and where a secret may be, whatever does not fit its schema is taken for one.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic_core import from_json, to_json, to_jsonable_python

from rpc_client.contract import Method
from rpc_client.errors import InvalidRequest

MASK = "***"
WITHHELD = "(withheld, because it may hold a secret of this call)"
SHORT = 4
"""Shorter secrets stand in any text by chance; to mask them there would tell them."""
PIECE = 8
"""So many characters of a secret in a row are not shown: others shorten texts before we see them."""
MAX_SECRETS = 8 << 10
MAX_TEXT = 64 << 10
"""Characters, of all secrets together and of a text: to look for more would keep other calls waiting."""


def takes_secrets(method: Method[..., Any]) -> bool:
    """Whether anything in its arguments is secret."""
    return _schema(method).whole.holds


@cache
def answers_secrets(method: Method[..., Any]) -> bool:
    """Whether anything in its result is secret."""
    return holds_secrets(method.result.json_schema())


def holds_secrets(schema: dict[str, Any]) -> bool:
    """Whether anything in a value of this JSON schema is secret."""
    return _Schema(schema).whole.holds


def redacted(method: Method[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as JSON values, each secret as ``***``. They need not fit the method."""
    return _replaced(method, arguments, lambda secret: None if secret is None else MASK)


def secrets_of(method: Method[..., Any], arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Every text and number of the arguments that must not be seen. They need not fit the method."""
    found: list[str] = []
    _replaced(method, arguments, lambda secret: found.extend(_leaves(secret)))
    return tuple(dict.fromkeys(found))


def _replaced(method: Method[..., Any], arguments: Mapping[str, Any], hide: Callable[[Any], Any]) -> dict[str, Any]:
    values = to_jsonable_python(arguments, inf_nan_mode="constants", fallback=str)
    shown: dict[str, Any] = _schema(method).whole.shown(values, hide)
    return shown


def scrubbed(text: str, secrets: Sequence[str]) -> str:
    """The text, each secret in it as ``***``: as it is, escaped as in JSON or ``repr``, and in pieces.

    Where one of less than four characters occurs in it, the whole text is withheld; so it is where the secrets are too
    large to look for them. Of a long text the middle is left out.
    """
    if not any(secrets):
        return text
    if sum(map(len, secrets)) > MAX_SECRETS:
        return WITHHELD
    if len(text) > MAX_TEXT:
        text = f"{text[: MAX_TEXT // 2]}{MASK}{text[-MAX_TEXT // 2 :]}"
    forms = {form for secret in secrets if secret for form in _forms(secret)}
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
    message = scrubbed(error.message, secrets)
    if message == WITHHELD:
        message = f"{method.name}: argument {error.details['argument']!r} does not fit {WITHHELD}"
    return InvalidRequest(message, {**error.details, **path})


@dataclass(slots=True)
class _Place:
    """A place in the arguments: whether what stands there is secret, and what else may stand inside of it."""

    secret: bool = False
    holds: bool = True
    """Whether anything inside may be secret."""
    keys: bool = False
    """Whether the names in it are secret themselves."""
    named: dict[str, _Place] | None = None
    """None where no object is expected, as below no list."""
    other: _Place | None = None
    placed: list[_Place] | None = None
    rest: _Place | None = None

    def shown(self, value: Any, hide: Callable[[Any], Any]) -> Any:
        """The value, every secret in it replaced by what `hide` makes of it."""
        if self.secret:
            return hide(value)
        if not self.holds:
            return value
        if isinstance(value, dict) and self.keys:
            return hide([*value, *value.values()])
        if isinstance(value, dict) and self.named is not None:
            return {name: (self.named.get(name) or self.other or _SECRET).shown(v, hide) for name, v in value.items()}
        if isinstance(value, list) and self.placed is not None:
            rest = itertools.repeat(self.rest or _SECRET)
            return [place.shown(v, hide) for v, place in zip(value, itertools.chain(self.placed, rest), strict=False)]
        return hide(value)


_SECRET = _Place(secret=True)


class _Schema:
    """A JSON schema, as the places it has."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._definitions = schema.get("$defs", {})
        self._places: dict[frozenset[int], _Place] = {}
        self.whole = self._place([schema])

    def _place(self, schemas: Sequence[Any]) -> _Place:
        """Where a value has to fit one of these. Places lead to each other in circles, so each is made once."""
        choices = [choice for schema in schemas for choice in self._reached(schema, _choices)]
        known = frozenset(map(id, choices))
        if known not in self._places:
            place = self._places[known] = _Place()
            place.secret = any("writeOnly" in choice for choice in choices)
            place.holds = any("writeOnly" in part for choice in choices for part in self._reached(choice, _parts))
            if place.holds:
                self._fill_object(place, choices)
                self._fill_list(place, choices)
        return self._places[known]

    def _fill_object(self, place: _Place, choices: Sequence[dict[str, Any]]) -> None:
        """Say what may stand under which name. One that the contract does not know may be a secret's, misspelt."""
        place.keys = any(self._place([choice.get("propertyNames")]).secret for choice in choices)
        others = [part for choice in choices for part in choice.get("patternProperties", {}).values()]
        others += [choice["additionalProperties"] for choice in choices if "additionalProperties" in choice]
        names = {name for choice in choices for name in choice.get("properties", {})}
        if names or others:
            others = [part for part in others if isinstance(part, dict)]
            place.named = {
                name: self._place([c["properties"][name] for c in choices if name in c.get("properties", ())] + others)
                for name in names
            }
            place.other = self._place(others) if others else None

    def _fill_list(self, place: _Place, choices: Sequence[dict[str, Any]]) -> None:
        """Say what may stand at which place of a list."""
        prefixes = [choice["prefixItems"] for choice in choices if "prefixItems" in choice]
        items = [choice["items"] for choice in choices if isinstance(choice.get("items"), dict)]
        if prefixes or items:
            most = max(map(len, prefixes), default=0)
            place.placed = [self._place([p[n] for p in prefixes if n < len(p)] + items) for n in range(most)]
            place.rest = self._place(items) if items else None

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
                waiting.append(self._definitions[one["$ref"].rpartition("/")[2]])


@cache
def _schema(method: Method[..., Any]) -> _Schema:
    """The schema of its arguments."""
    return _Schema(method.arguments.model_json_schema())


def _choices(schema: dict[str, Any]) -> list[Any]:
    """The schemas of which a value at the same place has to fit one, or all."""
    return [choice for word in ("anyOf", "oneOf", "allOf") for choice in schema.get(word, ())]


def _parts(schema: dict[str, Any]) -> list[Any]:
    """The schemas inside of one."""
    named = [part for word in ("properties", "patternProperties") for part in schema.get(word, {}).values()]
    listed = [*_choices(schema), *schema.get("prefixItems", ())]
    return named + listed + [schema.get(word) for word in ("items", "additionalProperties", "propertyNames")]


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
    parts = itertools.groupby(range(len(text)), hidden.__getitem__)
    return "".join(MASK if is_hidden else "".join(text[n] for n in places) for is_hidden, places in parts)


def _pieces(text: str, size: int, among: set[str] | None = None) -> set[str]:
    pieces = (text[n : n + size] for n in range(len(text) - size + 1))
    return set(pieces) if among is None else {piece for piece in pieces if piece in among}
