"""A small family that the type checkers are asked about. Nobody runs it."""

# ruff: noqa: PIE790 - the type checkers want a body under a docstring
from __future__ import annotations

from typing import Annotated

from pydantic import Field

from rpc_client.contract import AsyncService, EventData, Record, Service, SyncService, Timestamp, composed, read, write
from rpc_client.errors import Conflict, NotFoundError

Isbn = Annotated[str, Field(min_length=10, max_length=13)]


class Book(Record):
    """A book as it stands on its shelf."""

    isbn: str
    title: str
    shelf: int | None = None


class Lent(EventData, aggregate="book"):
    """A book left its shelf."""

    reader: str


class Discarded(EventData, aggregate="book"):
    """A book is known no more."""


class Library(Service, name="library"):
    """Every kind of declaration once."""

    @read
    async def find_book(self, isbn: Isbn) -> Book | None:
        """The book, or None."""
        ...

    @read(slow=True)
    async def search_books(self, words: list[str], limit: int = 20) -> list[Book]:
        """The books whose titles hold all words, by title."""
        ...

    @read
    async def count_books(self, shelf: int, *, lent: bool = False) -> int:
        """How many stand on a shelf."""
        ...

    @write(locks="isbn", raises=[NotFoundError, Conflict], emits=[Lent])
    async def lend(self, isbn: Isbn, reader: str, days: int = 14) -> Timestamp:
        """Lend a book; when it is due. Raises NotFoundError, Conflict. Emits Lent."""
        ...

    @write(emits=[Discarded])
    async def discard(self, isbn: Isbn) -> None:
        """Forget a book. Emits Discarded."""
        ...

    @composed
    async def titles(self, words: list[str]) -> dict[str, str]:
        """ISBN -> title of what a search finds."""
        return {book.isbn: book.title for book in await self.search_books(words)}


class AsyncLibrary(Library, AsyncService):
    """Every method as an ``async def``."""


class SyncLibrary(Library, SyncService):
    """Every method as a plain ``def``."""
