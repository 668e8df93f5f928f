"""What the nodes of the demo's agent do: tiny functions that answer the same whenever they are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

Pins = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Block:
    """What a node runs and what that costs; the database knows only its id."""

    name: str
    cost: int
    """Cents; every node costs something, so that every run of one leaves an entry in the ledger."""
    compute: Callable[[Pins], Pins]


def _search(kind: str, query: str, results: int) -> list[str]:
    return [f"{kind} {n} on {query}" for n in range(1, results + 1)]


def _shorten(texts: list[str], words: int) -> str:
    return " ".join(", ".join(texts).split()[:words])


def _press(pins: Pins) -> Pins:
    articles = _search("article", pins["query"], pins["max_results"])
    return {"articles": articles, "count": len(articles)}


def _mood(pins: Pins) -> Pins:
    return {"score": crc32("".join(pins["texts"]).encode()) % (pins["scale"] + 1)}


def _write(pins: Pins) -> Pins:
    said = f"{pins['summary']}. People say: {pins['opinions']}. Mood {pins['mood']} of 100"
    return {"response": f"{said}, from {pins['sources']} articles, for {pins['audience']}."}


BLOCKS = {
    "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b": Block("input", 1, lambda pins: {"result": pins["value"]}),
    "655d6fdf-a334-421c-b733-520549c07cd1": Block("choice", 1, lambda pins: {"result": pins["value"]}),
    "b4722f86-657c-4f1f-923a-f30b22a8db20": Block(
        "search terms", 1, lambda pins: {"output": pins["format"].format(topic=pins["topic"])}
    ),
    "4305ad28-d8b5-44f2-ae0c-da46fdcd6cf6": Block("press search", 3, _press),
    "57cbd4c5-dcec-4ca3-affd-c98032da59b5": Block(
        "forum search", 3, lambda pins: {"posts": _search("post", pins["query"], pins["max_results"])}
    ),
    "68f4c85e-24ee-4e19-91ef-3820c469210b": Block(
        "summary", 8, lambda pins: {"response": f"{pins['audience']}: {_shorten(pins['texts'], pins['max_words'])}"}
    ),
    "20a5c0fb-5ec1-440c-a6e8-389317892518": Block(
        "opinions", 5, lambda pins: {"response": _shorten(pins["texts"], pins["max_words"])}
    ),
    "ac0bce0a-f68c-4ec0-8345-320aec8628e3": Block("mood", 5, _mood),
    "274c22d7-40fd-4698-b5f7-415907e5ed55": Block("brief", 12, _write),
    "fe80d2f1-9422-4f5a-9f64-4a97d569f22d": Block(
        "word count", 1, lambda pins: {"text": pins["text"], "words": len(pins["text"].split())}
    ),
    "363ae599-353e-4804-937e-b2ee3cef3da4": Block("output", 1, lambda pins: {"output": pins["value"]}),
}
"""By the id under which graphs name them."""
