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

from collections.abc import Callable, Coroutine, Iterable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources.abc import Traversable
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from rpc_client.contract import Method, Read, Service, Write
from worker.answers import Story
from worker.database import Session, Transaction

P = ParamSpec("P")
R = TypeVar("R")
Async = Coroutine[Any, Any, R]
ReadStory = Callable[Concatenate[Session, P], Async[R]]
WriteStory = Callable[Concatenate[Transaction, P], Async[R]]
Live = Callable[[Mapping[str, Any], Any], Iterable[tuple[str, bytes]]]
"""Further channels and payloads for a committed event, made of the event and of the call's result."""

ENTRY_POINTS = "rowcall.families"


class RegistryError(Exception):
    """What is registered does not agree with what is promised; the worker does not start."""


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

    def __init__(
        self, *registries: Registry, sql: Traversable, live: Live | None = None, sealed: Iterable[str] = ()
    ) -> None:
        names = {registry.contract.name for registry in registries}
        if len(names) != 1:
            raise RegistryError(f"a family has one name, these registries have {sorted(names)}")
        (self.name,) = names
        self.registries = registries
        self.sql = sql
        self.live = live
        self.sealed = tuple(sealed)
        """What it keeps sealed, with ``keys`` and under ``worker.keys.row_place``, for changes of the keys: for each
        NAME its statement ``list_NAME`` gives `key` and `sealed` of the next :rows :after a key, in their order, and
        ``reseal_NAME`` puts :sealed in the place of :old at a :key."""


def find_families(names: Iterable[str]) -> list[Family]:
    """The families meant by ``ROWCALL_FAMILIES``; ``*`` stands for every installed one."""
    found: dict[str, Family] = {}
    for name in names:
        for family in _installed() if name == "*" else [_imported(name)]:
            if found.setdefault(family.name, family) is not family:
                raise RegistryError(f"two families are called {family.name!r}")
    return list(found.values())


def _installed() -> list[Family]:
    return [_imported(point.value) for point in entry_points(group=ENTRY_POINTS)]


def _imported(name: str) -> Family:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute or "family")
    except Exception as error:  # a family's own code runs here, and may raise anything
        raise RegistryError(f"the family {name!r} cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(found, Family):
        raise RegistryError(f"{name!r} is not a Family")
    return found
