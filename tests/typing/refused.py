"""What the type checkers refuse, each line for the reason in its two comments. Nobody runs it.

``tests/contract/test_typing.py`` takes the comments away from a copy and compares the errors with them.
"""

from __future__ import annotations

from library import AsyncLibrary, Book, Lent, Library, SyncLibrary

from accounts import Account, Accounts, AsyncAccounts, SyncAccounts
from rpc_client import AsyncClient, Client, DatabaseManagerClient
from rpc_client.contract import read, write
from rpc_client.errors import NotFoundError
from rpc_client.events import Event
from rpc_client.testing import StubClient
from worker.database import Session, Transaction
from worker.registry import Registry

library = Registry(Library)
accounts = Registry(Accounts)


# Stories that do not keep their contract's promise.


@accounts.implements(Accounts.transfer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def renamed(tx: Transaction, source: str, target_id: str, amount: int, note: str = "") -> int:
    return amount


@accounts.implements(Accounts.transfer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def missing(tx: Transaction, source_id: str, target_id: str, amount: int) -> int:
    return amount


@accounts.implements(Accounts.transfer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def swapped(tx: Transaction, target_id: str, source_id: str, amount: int, note: str = "") -> int:
    return amount


@accounts.implements(Accounts.transfer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def mistyped(tx: Transaction, source_id: str, target_id: str, amount: str, note: str = "") -> int:
    return 0


@accounts.implements(Accounts.transfer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def another_result(
    tx: Transaction, source_id: str, target_id: str, amount: int, note: str = ""
) -> Account | None:
    return None


@accounts.implements(Accounts.transfer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def without_default(tx: Transaction, source_id: str, target_id: str, amount: int, note: str) -> int:
    return amount


@accounts.implements(Accounts.transfer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def one_more(tx: Transaction, source_id: str, target_id: str, amount: int, note: str = "", *, fee: int) -> int:
    return amount


@accounts.implements(Accounts.transfer)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def not_async(tx: Transaction, source_id: str, target_id: str, amount: int, note: str = "") -> int:
    return amount


@library.implements(Library.search_books)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def writes_in_a_read(tx: Transaction, words: list[str], limit: int = 20) -> list[Book]:
    return []


@library.implements(Library.count_books)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def name_only_lost(db: Session, shelf: int) -> int:
    return 0


# Calls that do not fit their declaration.


async def calls(accounts: AsyncAccounts, library: AsyncLibrary, client: AsyncClient) -> None:
    await accounts.deposit("a-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await accounts.deposit("a-1", "500")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await accounts.deposit("a-1", amuont=500)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await accounts.deposit("a-1", 500, "rent", "more")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await accounts.deposits("a-1", 500)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    await library.count_books(3, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await library.titles("pride")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await AsyncAccounts(client.with_options(timeout=3)).deposit("a-1", 500)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await AsyncAccounts("amqp://localhost").deposit("a-1", 500)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    accounts.deposit("a-1", 500)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


def sync_calls(accounts: SyncAccounts, library: SyncLibrary, client: Client, manager: DatabaseManagerClient) -> None:
    accounts.deposit("a-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    accounts.deposit("a-1", "500")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    accounts.deposit("a-1", amuont=500)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    accounts.deposits("a-1", 500)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    library.count_books(3, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    library.titles("pride")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    manager.get_credits(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.send(Accounts.get_account, "a-1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    client.send(Accounts.deposit, "a-1", "500")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.send(Accounts.deposit, "a-1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def each_view_on_its_own_client(client: Client, other: AsyncClient) -> None:
    AsyncAccounts(client)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    SyncAccounts(other)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await SyncAccounts(client).deposit("a-1", 5)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    with other:  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


# Results taken for what they are not.


def forgotten_await(accounts: AsyncAccounts) -> int:
    return accounts.deposit("a-1", 500)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


async def another_type(library: AsyncLibrary) -> str:
    return await library.lend("9780141439518", "Ada")  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


async def another_record(library: AsyncLibrary) -> list[Account]:
    return await library.search_books(["pride"])  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


async def none_forgotten(accounts: AsyncAccounts) -> int:
    return (await accounts.get_account("a-1")).balance  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


# Stubs that are told what no worker could answer.


def nothing_asked() -> int:
    return 500


async def backwards(amount: int, account_id: str, note: str = "") -> int:
    return amount


def stubs(stub: StubClient, client: AsyncClient) -> None:
    stub.platform.get_credits.answers("500")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.platform.get_credits.answers(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.platform.get_credits.answers_in_order(500, "400")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.platform.get_credit.answers(500)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    stub.platform.get_credits.raises(NotFoundError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.platform.get_credits.raises(ValueError("no"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub.platform.get_node_executions.answers([])  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
    stub[Accounts.deposit].answers_by(nothing_asked)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub[Accounts.deposit].answers_by(backwards)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    stub[Accounts.get_account].answers(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    repr(stub["accounts.deposit"])  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    repr(stub[Library.titles])  # type: ignore[index]  # pyright: ignore[reportArgumentType]
    client.platform.get_credits.answers(500)  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]


# Declarations and registrations that mean nothing.

library.direct(Library.titles)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
library.direct("library.find_book")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
read(locks="isbn")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


@write(raises=[ValueError])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
async def raises_no_error_of_the_wire(self: object, isbn: str) -> None: ...


@write(emits=[Book])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
async def emits_what_is_no_event(self: object, isbn: str) -> None: ...


def events(tx: Transaction, event: Event) -> None:
    tx.emit("9780141439518", Lent(reader=5))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tx.emit("9780141439518", Lent(borrower="Ada"))  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tx.emit("9780141439518", Book(isbn="9780141439518", title="Emma"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    tx.emit("Lent")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    event.read(Book)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


@read  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def not_awaitable(self: object, isbn: str) -> int:
    return 0
