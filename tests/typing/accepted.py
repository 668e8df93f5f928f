"""What programs and families may write: mypy and pyright, both strict, agree to every line. Nobody runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, assert_type
from uuid import UUID

from library import AsyncLibrary, Book, Lent, Library, SyncLibrary

from accounts import Account, Accounts, AsyncAccounts, Entry, SyncAccounts
from rpc_client import (
    AsyncClient,
    Client,
    DatabaseManagerAsyncClient,
    DatabaseManagerClient,
    NotFoundError,
    OutcomeUnknown,
)
from rpc_client.contract import Lane, Method
from rpc_client.contract.platform import NodeExecutionResult
from rpc_client.contract.rowcall import ServerInfo
from rpc_client.events import Event
from rpc_client.testing import RecordedCall, Stubbed, StubClient, StubService
from worker.database import Session, Transaction
from worker.registry import Registry


async def calls_have_the_results_of_their_declarations(accounts: AsyncAccounts) -> None:
    assert_type(await accounts.get_account("a-1"), Account | None)
    assert_type(await accounts.list_entries("a-1"), list[Entry])
    assert_type(await accounts.open_account("a-1", "Ada"), Account)
    assert_type(await accounts.deposit("a-1", 500), int)
    assert_type(await accounts.transfer("a-1", "a-2", 500, "rent"), int)
    await assert_type(accounts.withdraw("a-1", 500), Coroutine[Any, Any, int])


async def arguments_go_by_place_or_by_name_and_defaults_may_be_left_out(library: AsyncLibrary) -> None:
    assert_type(await library.lend("9780141439518", "Ada"), datetime)
    assert_type(await library.lend("9780141439518", "Ada", 7), datetime)
    assert_type(await library.lend(reader="Ada", isbn="9780141439518", days=7), datetime)
    assert_type(await library.count_books(3), int)
    assert_type(await library.count_books(3, lent=True), int)
    await library.discard("9780141439518")


async def optional_results_are_records_once_they_are_not_none(library: AsyncLibrary) -> None:
    found = await library.find_book("9780141439518")
    if found is not None:
        assert_type(found, Book)
        assert_type(found.shelf, int | None)


async def slow_reads_and_composed_methods_are_called_like_any_other(library: AsyncLibrary) -> None:
    assert_type(await library.search_books(["pride"], limit=5), list[Book])
    assert_type(await library.titles(["pride"]), dict[str, str])


async def a_family_binds_to_a_client_and_to_a_client_with_options(client: AsyncClient) -> None:
    hasty = client.with_options(timeout_s=0.5, idempotency_key="rent of May")
    assert_type(hasty, AsyncClient)
    assert_type(await AsyncAccounts(hasty).deposit("a-1", 500), int)
    assert_type(await AsyncLibrary(client).count_books(3), int)
    assert_type(await client.platform.get_credits("user-1"), int)


def the_sync_view_has_the_results_themselves(accounts: SyncAccounts, library: SyncLibrary) -> None:
    assert_type(accounts.get_account("a-1"), Account | None)
    assert_type(accounts.list_entries("a-1", limit=5), list[Entry])
    assert_type(accounts.deposit("a-1", 500), int)
    assert_type(library.lend(reader="Ada", isbn="9780141439518", days=7), datetime)
    assert_type(library.count_books(3, lent=True), int)
    assert_type(library.search_books(["pride"], limit=5), list[Book])
    assert_type(library.titles(["pride"]), dict[str, str])
    library.discard("9780141439518")


def a_family_binds_to_a_sync_client_and_to_one_with_options(client: Client) -> None:
    hasty = client.with_options(timeout_s=0.5, idempotency_key="rent of May")
    assert_type(hasty, Client)
    assert_type(SyncAccounts(hasty).deposit("a-1", 500), int)
    assert_type(client.platform.get_credits("user-1"), int)
    assert_type(client.platform.get_node_executions("run-1"), list[NodeExecutionResult])
    assert_type(client.send(Accounts.deposit, "a-1", 500, note="rent"), UUID)
    assert_type(client.ping(), float)
    assert_type(client.server_info(), ServerInfo)


def one_thread_makes_many_calls_that_travel_together(client: Client) -> None:
    async def balances(client: AsyncClient) -> list[int]:
        accounts = AsyncAccounts(client)
        return await asyncio.gather(*(accounts.deposit(account_id, 1) for account_id in ("a-1", "a-2")))

    assert_type(client.run(balances), list[int])


async def writes_are_sent_and_workers_asked_about_themselves(client: AsyncClient) -> None:
    assert_type(await client.send(Accounts.deposit, "a-1", amount=500), UUID)
    assert_type(await client.send(Library.discard, "9780141439518"), UUID)
    assert_type(await client.ping(), float)
    assert_type(await client.server_info(), ServerInfo)


async def the_documents_clients_have_their_methods_themselves() -> None:
    with DatabaseManagerClient(timeout_s=5) as sync:
        assert_type(sync.get_credits("user-1"), int)
        assert_type(sync.with_options(idempotency_key="a").get_node_executions("run-1"), list[NodeExecutionResult])
    async with DatabaseManagerAsyncClient(timeout_s=5) as client:
        assert_type(client.with_options(timeout_s=1), DatabaseManagerAsyncClient)
        assert_type(await client.get_credits("user-1"), int)


def a_declaration_tells_about_itself() -> None:
    assert_type(Accounts.deposit.name, str)
    assert_type(Library.search_books.slow, bool)
    lane: Lane = Library.lend.lane
    assert_type(f"{lane}.{Library.lend.name}", str)
    assert_type(Library.methods(), dict[str, Method[..., Any]])


library = Registry(Library)
library.direct(Library.find_book, Library.discard)
accounts = Registry(Accounts)


@library.implements(Library.search_books)
async def search_books(db: Session, words: list[str], limit: int = 20) -> list[Book]:
    """A read's story gets a session; what it reads has the shape it names."""
    found = await db.many(Book, "library.search", words=words, limit=limit)
    assert_type(found, list[Book])
    assert_type(await db.maybe(Book, "library.find_book", isbn=words[0]), Book | None)
    assert_type(await db.one(Book, "library.find_book", isbn=words[0]), Book)
    assert_type(await db.value(int, "library.count", words=words), int)
    return found


@library.implements(Library.count_books)
async def count_books(db: Session, shelf: int, *, lent: bool = False) -> int:
    """A name that may only be given by name stays one."""
    return await db.value(int, "library.count_on_shelf", shelf=shelf, lent=lent)


@library.implements(Library.lend)
async def lend(tx: Transaction, isbn: str, reader: str, days: int = 14) -> datetime:
    """A write's story gets a transaction; ``Annotated`` asks for no more than the plain type."""
    assert_type(await tx.run("library.lend", isbn=isbn, reader=reader), int)
    tx.emit(isbn, Lent(reader=reader))
    return await tx.value(datetime, "library.due", isbn=isbn, days=days)


@accounts.implements(Accounts.transfer)
async def transfer(tx: Session, source_id: str, target_id: str, amount: int, note: str = "") -> int:
    """A write whose story only reads may say so: a transaction is a session too."""
    return await tx.value(int, "accounts.move", source_id=source_id, target_id=target_id, amount=amount, note=note)


async def a_story_can_be_called_like_the_function_it_is(db: Session, tx: Transaction) -> None:
    assert_type(await search_books(db, ["pride"]), list[Book])
    assert_type(await lend(tx, "9780141439518", "Ada"), datetime)


def an_event_is_read_as_the_type_it_was_declared_by(event: Event) -> None:
    assert_type(event.read(Lent), Lent)
    assert_type(event.read(Lent).reader, str)
    assert_type(Lent.aggregate, str)


def a_stub_is_told_what_the_contract_lets_a_method_answer(stub: StubClient) -> None:
    assert_type(stub.platform.get_credits.answers(500), None)
    stub[Accounts.get_account].answers(None)
    stub[Accounts.deposit].raises(NotFoundError("there is no account 'a-1'"))
    stub[Accounts.deposit].answers_in_order(500, OutcomeUnknown("no reply"), 1000)
    assert_type(stub.platform.get_credits.calls, list[RecordedCall])


async def owed(account_id: str, amount: int, note: str = "") -> int:
    return -amount


def a_stub_answers_by_a_function_of_the_methods_own_arguments(stub: StubClient) -> None:
    stub[Accounts.deposit].answers_by(lambda account_id, amount, note="": len(account_id + note) + amount)
    stub[Accounts.deposit].answers_by(owed)
    stub[Library.count_books].answers_by(lambda shelf, *, lent=False: 0 if lent else shelf)


async def a_stub_goes_wherever_a_client_goes(stub: StubClient) -> None:
    client: AsyncClient = stub
    assert_type(await client.platform.get_credits("user-1"), int)
    assert_type(await stub.platform.get_credits("user-1"), int)
    assert_type(await AsyncAccounts(stub).deposit("a-1", 500), int)
    await stub.platform.get_node_executions("run-1")


class StubLibrary(AsyncLibrary, StubService):
    """A view for a family that is stubbed much."""


async def a_family_has_a_stub_view_of_its_own(stub: StubClient) -> None:
    library = StubLibrary(stub)
    library.find_book.answers(Book(isbn="9780141439518", title="Pride and Prejudice"))
    library.discard.answers(None)
    assert_type(await library.find_book("9780141439518"), Book | None)
    assert_type(stub[Library.count_books].answers(3), None)
    view: AsyncLibrary = library
    assert_type(await view.titles(["pride"]), dict[str, str])
    prepared: Stubbed[..., int] = library.count_books
    prepared.answers(7)
