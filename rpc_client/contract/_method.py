"""The words a contract is written in: ``Service``, ``@read``, ``@write`` and ``@composed``.

A family is a class of declarations::

    class Accounts(Service, name="accounts"):
        @write(locks="account_id", raises=[NotFoundError], emits=[Deposited])
        async def deposit(self, account_id: str, amount: Cents) -> int:
            \"\"\"Add `amount` and return the new balance. Raises NotFoundError. Emits Deposited.\"\"\"
            ...

    class AsyncAccounts(Accounts, AsyncService): ...
    class SyncAccounts(Accounts, SyncService): ...

    balance = await AsyncAccounts(async_client).deposit("a-1", 500)
    balance = SyncAccounts(client).deposit("a-1", 500)

One declaration is the typed method, the name on the wire (``accounts.deposit``), the lane it travels on, the schema
its arguments are judged by, and its manual. The worker's functions are compared with it by the type checker.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    overload,
)

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from rpc_client.contract._event import EventData
from rpc_client.contract._shown import shown_signature
from rpc_client.errors import RemoteError

if TYPE_CHECKING:
    from rpc_client.testing import Stubbed, StubService

P = ParamSpec("P")
R = TypeVar("R")
Lane = Literal["read", "write"]
Async = Coroutine[Any, Any, R]
Declaration = Callable[Concatenate[Any, P], Async[R]]


class Caller(Protocol):
    """Whatever can carry a call to a worker: the client, or a stub in a test."""

    def call(self, method: Method[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Async[R]: ...


class SyncCaller(Protocol):
    """Whatever can carry a call to a worker and wait for it: the sync client, or a stub in a test."""

    def call(self, method: Method[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R: ...

    def run(self, work: Callable[[Caller], Async[R]]) -> R: ...


class Service:
    """A family of methods; ``name`` is their prefix on the wire."""

    name: ClassVar[str]

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        super().__init_subclass__()
        if name is not None:
            cls.name = name

    _caller: Any
    """A ``Caller``; a ``SyncCaller`` in a sync view."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def _bound(self, method: Method[P, R]) -> Callable[P, Any]:
        """What reading a method of this view gives: here, a function that calls it."""
        call = self._caller.call

        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:
            return call(method, args, kwargs)

        return bound

    @classmethod
    def methods(cls) -> dict[str, Method[..., Any]]:
        """Wire name -> method, of everything this family promises, in the order of declaration."""
        declared = {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()}
        return {value.name: value for value in declared.values() if isinstance(value, Method)}


class AsyncService(Service):
    """The view in which every method of a family is an ``async def``."""


class SyncService(Service):
    """The view in which every method of a family is a plain ``def``, which waits for its outcome."""

    def __init__(self, caller: SyncCaller) -> None:
        self._caller = caller

    @classmethod
    def _plain(cls) -> type[Service]:
        """The family itself, whose methods are as declared: what a composed method is made of."""
        return next(base for base in cls.__mro__ if issubclass(base, Service) and not issubclass(base, SyncService))


class Method(Generic[P, R]):
    """One remote method: its name on the wire, its lane, its signature and its manual.

    Use one of its two kinds, ``Read`` and ``Write``, through the decorators ``@read`` and ``@write``.
    """

    lane: ClassVar[Lane]

    def __init__(
        self,
        declaration: Declaration[P, R],
        *,
        slow: bool = False,
        locks: str | None = None,
        raises: Iterable[type[RemoteError]] = (),
        emits: Iterable[type[EventData]] | None = None,
    ) -> None:
        signature = inspect.signature(declaration, eval_str=True)
        self.parameters: Mapping[str, inspect.Parameter] = dict(list(signature.parameters.items())[1:])
        self.returns: Any = signature.return_annotation
        self.signature = signature.replace(parameters=list(self.parameters.values()))
        self.slow = slow
        self.locks = locks
        self.raises = tuple(raises)
        self.emits = tuple(emits or ())
        self.declares_events = emits is not None
        self.__doc__ = declaration.__doc__
        self._positional = tuple(n for n, p in self.parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD)
        self._required = frozenset(n for n, p in self.parameters.items() if p.default is p.empty)
        self._check(declaration.__qualname__)

    def _check(self, where: str) -> None:
        if bad := [name for name in self.parameters if name.startswith("_")]:
            raise TypeError(
                f"{where}: parameter {bad[0]!r} may not begin with an underscore: such names are the worker's"
            )
        if self.locks is not None and self.locks not in self.parameters:
            raise TypeError(f"{where}: locks={self.locks!r} is not one of its parameters {list(self.parameters)}")
        if nameless := [event.__name__ for event in self.emits if not hasattr(event, "aggregate")]:
            raise TypeError(f"{where}: the event {nameless[0]} does not say to what it happens: aggregate=…")

    def __set_name__(self, owner: type[Service], attribute: str) -> None:
        self.owner = owner
        self.attribute = attribute

    @cached_property
    def name(self) -> str:
        """``family.method``, the name on the wire. (The owner learns its own name only after ``__set_name__``.)"""
        return f"{self.owner.name}.{self.attribute}"

    @cached_property
    def routing_key(self) -> str:
        """``lane.family.method``, by which the broker can route, count and grant."""
        return f"{self.lane}.{self.name}"

    @overload
    def __get__(self, instance: None, owner: type[Service]) -> Self: ...
    @overload
    def __get__(self, instance: StubService, owner: type[Service]) -> Stubbed[P, R]: ...
    @overload
    def __get__(self, instance: SyncService, owner: type[Service]) -> Callable[P, R]: ...
    @overload
    def __get__(self, instance: Service, owner: type[Service]) -> Callable[P, Async[R]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Self: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        if not isinstance(instance, Service):
            return self
        return instance._bound(self)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its other half

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name, as given: defaults are the worker's to fill in. TypeError as for any function."""
        if len(args) == len(self.parameters) == len(self._positional) and not kwargs:
            return dict(zip(self._positional, args, strict=True))
        named = {**dict(zip(self._positional, args, strict=False)), **kwargs}
        if len(named) != len(args) + len(kwargs) or not self._required <= named.keys() <= self.parameters.keys():
            self.signature.bind(*args, **kwargs)
            raise TypeError(f"{self.name}: arguments {sorted(named)} do not fit {self.signature}")
        return named

    @cached_property
    def errors(self) -> Mapping[str, type[RemoteError]]:
        """The errors it answers besides those any method may answer, by their word on the wire."""
        return {error.__name__: error for error in self.raises}

    @cached_property
    def events(self) -> Mapping[str, type[EventData]]:
        """The events it may emit, by their type."""
        return {event.__name__: event for event in self.emits}

    @cached_property
    def shown_signature(self) -> str:
        """The signature for people: plain types, without the bounds on their values."""
        return shown_signature(self.signature)

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The model that judges arguments on the worker's side: strict, nothing extra, no NaN."""
        fields: dict[str, Any] = {
            name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
            for name, parameter in self.parameters.items()
        }
        config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
        return create_model(self.name, __config__=config, **fields)

    @cached_property
    def result(self) -> TypeAdapter[R]:
        """Reads and writes this method's results."""
        return TypeAdapter(self.returns)

    def __repr__(self) -> str:
        return f"<{self.lane} {self.name}{self.shown_signature}>"


class Read(Method[P, R]):
    """A method that changes nothing."""

    lane = "read"


class Write(Method[P, R]):
    """A method that changes something, exactly once per request id."""

    lane = "write"


@overload
def read(declaration: Declaration[P, R], /) -> Read[P, R]: ...
@overload
def read(
    *, slow: bool = False, raises: Iterable[type[RemoteError]] = ()
) -> Callable[[Declaration[P, R]], Read[P, R]]: ...
def read(declaration: Declaration[P, R] | None = None, /, **options: Any) -> Any:
    """Declare a method that changes nothing.

    ``slow``: it may take longer than a few milliseconds, so it always travels and runs alone.
    ``raises``: the errors it answers besides those any method may answer.
    """
    return Read(declaration) if declaration is not None else lambda given: Read(given, **options)


@overload
def write(declaration: Declaration[P, R], /) -> Write[P, R]: ...
@overload
def write(
    *,
    slow: bool = False,
    locks: str | None = None,
    raises: Iterable[type[RemoteError]] = (),
    emits: Iterable[type[EventData]] | None = None,
) -> Callable[[Declaration[P, R]], Write[P, R]]: ...
def write(declaration: Declaration[P, R] | None = None, /, **options: Any) -> Any:
    """Declare a method that changes something.

    ``locks``: the argument that names the one row it locks; only such writes may be run together.
    ``raises``: its business errors. They are part of its outcome: stored, and answered again to every repeat.
    ``emits``: the events it may emit. No worker serves a write that does not say; ``[]`` tells nobody, on purpose.
    """
    return Write(declaration) if declaration is not None else lambda given: Write(given, **options)
