"""What a worker refuses to start with: promises, answers and SQL that do not agree with each other or the schema."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rpc_client.contract import EventData, Method, Record, Service, read, write
from rpc_client.errors import NotFoundError
from worker.checks import RESULT_TYPES, check_schema
from worker.database import Session
from worker.registry import Family, Registry, RegistryError
from worker.served import Served, serve
from worker.servers import Servers
from worker.settings import WorkerSettings
from worker.statements import StatementError
from worker.testing import scratch_database


class Book(Record):
    isbn: str
    copies: int


class Lent(EventData, aggregate="book"):
    left: int


class Shelf(Service, name="shelf"):
    @read
    async def get_book(self, isbn: str) -> Book | None: ...

    @write(locks="isbn", raises=[NotFoundError], emits=[Lent])
    async def lend(self, isbn: str) -> Book: ...


class Maybe(Shelf, name="shelf"):
    @write(locks="isbn", emits=[Lent])
    async def lend(self, isbn: str) -> Book | None: ...


class Attic(Service, name="attic"):
    @read
    async def count_boxes(self) -> int: ...


TOLD = "jsonb_build_object('type', 'Lent', 'aggregate', 'book') as events"
LEND = f"""with reply as (
    select :isbn::text as isbn, 2::bigint as copies, null::jsonb as error, {TOLD}
)

select * from reply;"""
STATEMENTS = {"get_book": "select :isbn::text as isbn, 3::bigint as copies;", "lend": LEND}
Start = Callable[..., Served]


def answered(*methods: Method[..., Any], by: type[Service] = Shelf) -> Registry:
    registry = Registry(by)
    registry.direct(*methods)
    return registry


async def get_book(db: Session, isbn: str) -> Book | None: ...


BOTH = answered(Shelf.get_book, Shelf.lend)
THREE = answered(Shelf.get_book, Shelf.lend)
THREE.implements(Shelf.get_book)(get_book)


@pytest.fixture
def start(tmp_path: Path, base_settings: WorkerSettings) -> Start:
    """Bring the small family together, with these statements changed, added, or (None) taken away."""

    def start(*registries: Registry, **changed: str | None) -> Served:
        texts = {name: text for name, text in {**STATEMENTS, **changed}.items() if text is not None}
        (tmp_path / "shelf.sql").write_text("".join(f"-- name: {name}\n{text}\n\n" for name, text in texts.items()))
        return serve([Family(*(registries or [BOTH]), sql=tmp_path)], base_settings)

    return start


@pytest.fixture(scope="module")
async def schema(servers: Servers, migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a migrated database that these tests only look at."""
    async with scratch_database(servers.postgres_url, copy_of=migrated) as url:
        connection = await asyncpg.connect(url)
        try:
            yield connection
        finally:
            await connection.close()


async def test_a_family_that_agrees_with_itself_and_the_schema_is_served(start: Start, schema: asyncpg.Connection):
    served = start()

    await check_schema(schema, served)

    assert set(served.answers) == {"shelf.get_book", "shelf.lend", "rowcall.server_info", "rowcall.outcome"}


@pytest.mark.parametrize(
    ("registries", "changed", "complaint"),
    [
        pytest.param([answered(Shelf.get_book)], {"lend": None}, "nobody answers shelf.lend", id="unanswered promise"),
        pytest.param([BOTH, BOTH], {}, "shelf.get_book is answered twice", id="two answers"),
        pytest.param([THREE], {}, "shelf.get_book is answered twice", id="statement and story"),
        pytest.param([BOTH], {"forgotten": "select 1;"}, "nobody uses the statement shelf.forgotten", id="unused SQL"),
        pytest.param([BOTH], {"lend": None}, "no statement is called shelf.lend", id="direct without SQL"),
        pytest.param([answered(Attic.count_boxes)], {}, "attic.count_boxes is answered but not promised", id="unasked"),
    ],
)
def test_answers_that_are_not_the_promises_are_refused(
    start: Start, registries: list[Registry], changed: dict[str, str | None], complaint: str
):
    with pytest.raises(RegistryError, match=re.escape(complaint)):
        start(*registries, **changed)


def test_a_second_story_of_a_method_is_refused():
    registry = Registry(Shelf)
    registry.implements(Shelf.get_book)(get_book)

    with pytest.raises(RegistryError, match=r"shelf\.get_book has two stories"):
        registry.implements(Shelf.get_book)(get_book)


def test_two_statements_of_one_name_are_refused(start: Start, tmp_path: Path):
    (tmp_path / "another.sql").write_text("-- name: lend\nselect 1;\n")

    with pytest.raises(StatementError, match=r"shelf\.sql: statement shelf\.lend exists already"):
        start()


@pytest.mark.parametrize(
    ("text", "difference"),
    [
        ("select :isbm as isbn, 3 as copies;", r"\['isbm'\] only in SQL, \['isbn'\] only in the contract"),
        ("select 'x' as isbn, 3 as copies;", r"\[\] only in SQL, \['isbn'\] only in the contract"),
        ("select :isbn as isbn, :copies as copies;", r"\['copies'\] only in SQL, \[\] only in the contract"),
    ],
)
def test_names_in_sql_that_are_not_the_parameters_are_refused(start: Start, text: str, difference: str):
    with pytest.raises(StatementError, match=r"shelf\.get_book: .*" + difference):
        start(get_book=text)


def test_an_error_word_that_the_contract_does_not_declare_is_refused(start: Start):
    text = LEND.replace("null::jsonb as error", "jsonb_build_object('error', 'Conflict') as error")

    with pytest.raises(StatementError, match=r"shelf\.lend: answers \['Conflict'\]"):
        start(lend=text)


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ("'Lost', 'aggregate', 'book'", "Lost of book"),
        ("case when true then 'Lent' else 'Lost' end,\n  'aggregate', 'book'", "Lost of book"),
        ("'Lent', 'aggregate', 'shelf'", "Lent of shelf"),
    ],
)
def test_an_event_that_the_contract_does_not_declare_is_refused(start: Start, event: str, complaint: str):
    text = LEND.replace(TOLD, f"jsonb_build_object('type', {event}) as events")

    with pytest.raises(StatementError, match=rf"shelf\.lend: emits \['{complaint}'\], which the contract does not"):
        start(lend=text)


@pytest.mark.parametrize("event", ["null::jsonb", "jsonb_build_object('aggregate', 'book', 'type', 'Lost')"])
def test_a_write_in_whose_sql_no_event_is_found_although_it_declares_one_is_refused(start: Start, event: str):
    with pytest.raises(StatementError, match=r"shelf\.lend: no declared event stands in its SQL"):
        start(lend=LEND.replace(TOLD, f"{event} as events"))


def test_a_write_that_does_not_say_what_it_emits_is_refused(start: Start):
    class Silent(Shelf, name="shelf"):
        @write(locks="isbn")
        async def lend(self, isbn: str) -> Book: ...

    with pytest.raises(RegistryError, match=r"shelf\.lend declares no events"):
        start(answered(Silent.get_book, Silent.lend, by=Silent))


@pytest.mark.parametrize("ending", ["select * from reply", "select isbn from reply;", "select * from reply; -- so"])
def test_a_write_that_does_not_end_in_the_line_its_receipt_replaces_is_refused(start: Start, ending: str):
    text = LEND.replace("select * from reply;", ending)

    with pytest.raises(StatementError, match=r"shelf\.lend: a write of one statement ends in the line"):
        start(lend=text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("get_book", "select :isbn::text as isbn;"),
        ("get_book", "select :isbn::text as isbn, 3::bigint as copies, 1::bigint as more;"),
        ("get_book", "select :isbn::text as isbn, 3::bigint as copy;"),
        ("lend", LEND.replace("copies", "copy")),
        ("lend", LEND.replace(" as events", " as told")),
        ("lend", LEND.replace("select :isbn", "select 1::bigint as result, :isbn")),
    ],
)
async def test_columns_that_are_not_the_fields_are_refused(
    start: Start, schema: asyncpg.Connection, name: str, text: str
):
    served = start(**{name: text})

    with pytest.raises(StatementError, match=rf"shelf\.{name}: yields .* its method wants .*'isbn', 'copies'"):
        await check_schema(schema, served)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("get_book", "select isbn, copies from shelf.books where isbn = :isbn;"),
        ("get_book", "select id as isbn, copies from platform.users where id = :isbn;"),
        ("get_book", "select :isbn::text as isbn, 3::bigint as copies form nowhere;"),
        ("get_book", STATEMENTS["get_book"] + "\n-- a comment"),
        ("get_book", "with x as (delete from platform.users) " + STATEMENTS["get_book"]),
        ("lend", LEND.replace("with", "with receipt as (select 1),")),
    ],
)
async def test_a_statement_that_does_not_prepare_as_it_is_run_is_refused(
    start: Start, schema: asyncpg.Connection, name: str, text: str
):
    served = start(**{name: text})

    with pytest.raises(StatementError, match=rf"shelf\.{name}: "):
        await check_schema(schema, served)


async def test_a_write_with_an_effect_that_its_reply_does_not_read_is_refused(start: Start, schema: asyncpg.Connection):
    with pytest.raises(StatementError, match=r"shelf\.lend: "):
        await check_schema(schema, start(lend=LEND.replace("with", "with gone as (delete from platform.users),")))


async def test_a_one_statement_write_of_a_record_or_none_is_refused(start: Start, schema: asyncpg.Connection):
    with pytest.raises(StatementError, match=r"shelf\.lend: "):
        await check_schema(schema, start(answered(Maybe.get_book, Maybe.lend, by=Maybe)))


@pytest.mark.parametrize("name", ["get_book", "lend"])
@pytest.mark.parametrize("kind", ["numeric", "json", "timestamp", "bytea", "interval", "money", "float4", "numeric[]"])
async def test_a_result_type_that_does_not_survive_json_is_refused(
    start: Start, schema: asyncpg.Connection, name: str, kind: str
):
    served = start(**{name: STATEMENTS[name].replace(" as copies", f"::text::{kind} as copies")})

    with pytest.raises(StatementError, match=rf"shelf\.{name}: result types .*copies"):
        await check_schema(schema, served)


@pytest.mark.parametrize("kind", sorted(RESULT_TYPES))
async def test_a_result_type_that_survives_json_is_served(start: Start, schema: asyncpg.Connection, kind: str):
    served = start(get_book=f"select :isbn::text as isbn, null::{kind} as copies;")

    await check_schema(schema, served)
