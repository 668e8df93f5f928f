"""``@composed``: a method that runs in the client and is made of calls to the others."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Self, TypeVar, overload

from rpc_client.contract._method import Async, Declaration, Service, SyncCaller, SyncService

P = ParamSpec("P")
R = TypeVar("R")


class Composed(Generic[P, R]):
    """A method that runs in the client and is made of calls to the others. Declare it with ``@composed``."""

    def __init__(self, declaration: Declaration[P, R]) -> None:
        self._declaration = declaration
        signature = inspect.signature(declaration, eval_str=True)
        self.signature = signature.replace(parameters=list(signature.parameters.values())[1:])
        self.__doc__ = declaration.__doc__

    @overload
    def __get__(self, instance: None, owner: type[Service]) -> Self: ...
    @overload
    def __get__(self, instance: SyncService, owner: type[Service]) -> Callable[P, R]: ...
    @overload
    def __get__(self, instance: Service, owner: type[Service]) -> Callable[P, Async[R]]: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Self: ...
    def __get__(self, instance: object, owner: type[Any]) -> Any:
        if isinstance(instance, SyncService):
            return functools.partial(self._run, instance)
        return functools.partial(self._declaration, instance) if isinstance(instance, Service) else self

    def _run(self, view: SyncService, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it where calls are awaited: it is written once, for both views."""
        family = view._plain()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # its other half
        caller: SyncCaller = view._caller  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return caller.run(lambda caller: self._declaration(family(caller), *args, **kwargs))


def composed(declaration: Declaration[P, R]) -> Composed[P, R]:
    """Mark a method that runs in the client and is made of calls to the others; it has no name on the wire."""
    return Composed(declaration)
