"""``Registry`` and ``Family``: which function or statement answers which method, and what is served.

::

    accounts = Registry(Accounts)
    accounts.direct(Accounts.balance, Accounts.deposit)          # each is one statement, no Python

    @accounts.implements(Accounts.transfer)                      # a story; the type checker compares the signatures
    async def transfer(tx: Transaction, source: str, target: str, amount: int) -> int: ...

    family = Family(accounts, sql=files("accounts") / "sql")

A family is served when it is named in ``ROWCALL_FAMILIES`` as ``module:attribute``, or is installed under the entry
point group ``rowcall.families``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources.abc import Traversable
from typing import Any, Concatenate, ParamSpec, TypeVar, get_args, get_origin, overload

from rpc_client.contract import Method, Read, Service, Write
from rpc_client.errors import InvalidRequest, Reason
from worker.answers import DirectRead, DirectWrite, Story, StoryRead, StoryWrite
from worker.calls import Answer
from worker.checks import RegistryError, check_parameters, check_promises, is_record, result_shape
from worker.database import Session, Transaction
from worker.receipts import SUFFIX
from worker.settings import WorkerSettings
from worker.statements import REPLY, Statement, StatementError, read_statements, sql_root

P = ParamSpec("P")
R = TypeVar("R")
Async = Coroutine[Any, Any, R]
ReadStory = Callable[Concatenate[Session, P], Async[R]]
WriteStory = Callable[Concatenate[Transaction, P], Async[R]]
Live = Callable[[Mapping[str, Any], Any], Iterable[tuple[str, bytes]]]
"""Further channels and payloads for a committed event, made of the event and of the call's result."""

ENTRY_POINTS = "rowcall.families"


class Registry:
    """The answers to the methods of one contract class."""

    def __init__(self, contract: type[Service]) -> None:
        self.contract = contract
        self.directs: list[Method[..., Any]] = []
        self.stories: dict[Method[..., Any], Story] = {}

    def direct(self, *methods: Method[..., Any]) -> None:
        """These methods are the statements of the same name."""
        self.directs.extend(methods)

    @overload
    def implements(self, method: Read[P, R], /) -> Callable[[ReadStory[P, R]], ReadStory[P, R]]: ...
    @overload
    def implements(self, method: Write[P, R], /) -> Callable[[WriteStory[P, R]], WriteStory[P, R]]: ...
    def implements(self, method: Any, /) -> Any:
        """This function is the method's story."""

        def register(story: Story) -> Story:
            if method in self.stories:
                raise RegistryError(f"{method.name} has two stories")
            self.stories[method] = story
            return story

        return register


class Family:
    """Registries that share a name on the wire, the folder of their SQL, and its ``migrations``."""

    def __init__(self, *registries: Registry, sql: Traversable, live: Live | None = None) -> None:
        names = {registry.contract.name for registry in registries}
        if len(names) != 1:
            raise RegistryError(f"a family has one name, these registries have {sorted(names)}")
        (self.name,) = names
        self.registries = registries
        self.sql = sql
        self.live = live


@dataclass(frozen=True)
class Served:
    """Everything a worker answers, by wire name."""

    families: Sequence[Family]
    answers: Mapping[str, Answer]
    statements: Mapping[str, Statement]

    def find(self, name: str) -> Answer:
        """The answer to this method. InvalidRequest, with the nearest names, when nobody serves it."""
        if (answer := self.answers.get(name)) is not None:
            return answer
        near = difflib.get_close_matches(name[:128], self.answers, n=3, cutoff=0.6)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `rowcall methods` lists what is served"
        raise InvalidRequest(f"{name[:128]}: no such method{hint}", {"reason": Reason.UNKNOWN_METHOD, "near": near})


def serve(families: Sequence[Family], settings: WorkerSettings) -> Served:
    """Bring promises, answers and statements together. RegistryError or StatementError when they do not agree."""
    statements = read_statements("rowcall", sql_root() / "rowcall")
    answers: dict[str, Answer] = {}
    for family in families:
        own = read_statements(family.name, family.sql)
        check_promises(family, own)
        statements |= own
        for registry in family.registries:
            for method in registry.contract.methods().values():
                answers[method.name] = _answer(method, registry, statements, settings)
    return Served(families, answers, statements)


def _answer(
    method: Method[..., Any], registry: Registry, statements: Mapping[str, Statement], settings: WorkerSettings
) -> Answer:
    story = registry.stories.get(method)
    if story is not None and method.lane == "read":
        return StoryRead(method, story, statements, settings.read_reply_bytes)
    if story is not None:
        return StoryWrite(method, story, statements, settings.write_reply_bytes)
    statement = statements[method.name]
    check_parameters(method, statement)
    if method.lane == "read":
        return _direct_read(method, statement, settings)
    return DirectWrite(method, with_receipt(method, statement))


def _direct_read(method: Method[..., Any], statement: Statement, settings: WorkerSettings) -> DirectRead:
    shape, optional = result_shape(method.returns)
    if get_origin(shape) is list and is_record(get_args(shape)[0]):
        wrapped = statement.as_list
    elif is_record(shape):
        wrapped = statement.as_record
    else:
        wrapped = statement.as_value
    return DirectRead(method, wrapped, not optional, settings.read_reply_bytes)


def with_receipt(method: Method[..., Any], statement: Statement) -> Statement:
    """A one-statement write with its receipt in the place of its last line."""
    body, reply, rest = statement.text.rpartition(REPLY)
    if not reply or rest.strip() or not body.endswith("\n"):
        raise StatementError(f"{statement.name}: a write of one statement ends in the line {REPLY!r}")
    shape, _ = result_shape(method.returns)
    if is_record(shape):
        columns = ", ".join(f'r."{name}"' for name in shape.model_fields)
        result = f"(select row_to_json(q)::text from (select {columns}) as q)"
    else:
        result = "to_json(r.result)::text"
    return Statement.compile(statement.name, body.rstrip() + SUFFIX.format(result=result))


def find_families(names: Iterable[str]) -> list[Family]:
    """The families meant by ``ROWCALL_FAMILIES``; ``*`` stands for every installed one."""
    found: dict[str, Family] = {}
    for name in names:
        for family in _installed() if name == "*" else [_imported(name)]:
            if found.setdefault(family.name, family) is not family:
                raise RegistryError(f"two families are called {family.name!r}")
    return list(found.values())


def _installed() -> list[Family]:
    return [_family(point.value, point.load()) for point in entry_points(group=ENTRY_POINTS)]


def _imported(name: str) -> Family:
    module, _, attribute = name.partition(":")
    try:
        return _family(name, getattr(import_module(module), attribute or "family"))
    except (ImportError, AttributeError) as error:
        raise RegistryError(f"ROWCALL_FAMILIES names {name!r}, which cannot be imported: {error}") from error


def _family(name: str, found: object) -> Family:
    if not isinstance(found, Family):
        raise RegistryError(f"{name!r} is not a Family")
    return found
