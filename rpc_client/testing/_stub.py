"""``StubClient`` and what it consists of: families whose methods can be called, prepared and asked for their calls."""

from __future__ import annotations

import asyncio
import difflib
import itertools
from collections.abc import Callable, Coroutine, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from rpc_client.background import refuse_inside_a_loop
from rpc_client.client import AsyncClient
from rpc_client.contract import AsyncService, Method
from rpc_client.contract.platform import AsyncPlatform
from rpc_client.errors import RPCError
from rpc_client.settings import ClientSettings
from rpc_client.sync import Client, Shared
from rpc_client.testing._script import (
    ByFunction,
    InOrder,
    Outcome,
    RecordedCall,
    Script,
    StubError,
    check_signature,
    error_of,
    outcome_of,
    result_of,
)

P = ParamSpec("P")
R = TypeVar("R")
Async = Coroutine[Any, Any, R]


class StubClient(AsyncClient):
    """An ``AsyncClient`` without servers. It needs no event loop and no settings until it is called.

    Answers are prepared, and calls are found, on its methods: ``stub.platform.get_credits`` and, for a method of
    whichever family, ``stub[Accounts.deposit]``. Each is a ``Stubbed``.
    """

    def __init__(self) -> None:
        # The defaults, whatever the environment says: a unit test means the same everywhere.
        super().__init__(ClientSettings.model_construct(), transport=Script())

    @property
    def script(self) -> Script:
        """What was prepared and recorded; shared by everything that ``with_options`` gives."""
        return cast("Script", self._transport)

    @cached_property
    def platform(self) -> StubPlatform:
        """The platform family, to be called and prepared."""
        return StubPlatform(self)

    @property
    def sync(self) -> SyncStub:
        """This stub as a sync ``Client``: what is prepared here is answered there, and its calls are found here."""
        return SyncStub(self)

    @property
    def calls(self) -> list[RecordedCall]:
        """Every call so far, of whichever method, in their order."""
        return list(self.script.calls)

    def __getitem__(self, method: Method[P, R]) -> Stubbed[P, R]:
        if not isinstance(method, Method):  # pyright: ignore[reportUnnecessaryIsInstance]  # whoever checks no types
            raise StubError(f"{method!r} is no method of a contract; one is given as in stub[Platform.get_credits]")
        return Stubbed(method, self)


class SyncStub(Client):
    """A sync ``Client`` without servers and without a thread: the sync half of a stub."""

    def __init__(self, stub: StubClient) -> None:
        super().__init__(stub.settings)
        self._shared = _Here(stub)


class _Here(Shared):
    """What a sync client shares with its copies, where no loop runs in the background."""

    def __init__(self, stub: StubClient) -> None:
        super().__init__(stub.settings)
        self._stub = stub

    def run(self, work: Callable[[AsyncClient], Async[R]]) -> R:
        refuse_inside_a_loop()
        return asyncio.run(work(self._stub))

    def close(self) -> None:
        self.run(lambda stub: stub.close())


class StubService(AsyncService):
    """The view in which every method of a family is a ``Stubbed``, which still can be called.

    ``class StubAccounts(AsyncAccounts, StubService): ...`` makes one for a family that is used much; bind it to a stub.
    """

    _caller: StubClient

    def __init__(self, caller: StubClient) -> None:
        super().__init__(caller)

    def _bound(self, method: Method[P, R]) -> Stubbed[P, R]:
        return Stubbed(method, self._caller)

    if not TYPE_CHECKING:  # to the type checkers a name that is not declared stays an error

        def __getattr__(self, name: str) -> object:
            near = difflib.get_close_matches(name, dir(self), n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise AttributeError(f"{type(self).__name__} has no method {name!r}{hint}", name=name, obj=self)


class StubPlatform(AsyncPlatform, StubService):
    """The platform family, to be called and prepared."""


class Stubbed(Generic[P, R]):
    """One method of a stub: what it answers from now on, and how it was called. Preparing it again replaces.

    What does not fit the contract is refused at once, by a ``StubError`` that says what would.
    """

    def __init__(self, method: Method[P, R], stub: StubClient) -> None:
        self._method = method
        self._stub = stub

    def answers(self, result: R) -> None:
        """Answer every call with this."""
        self._prepare(itertools.repeat(result_of(self._method, result)))

    def raises(self, error: RPCError) -> None:
        """Fail every call with this: an error the contract declares, one any method may answer, or the client's own."""
        self._prepare(itertools.repeat(error_of(self._method, error)))

    def answers_in_order(self, *outcomes: R | RPCError) -> None:
        """Answer the first call with the first of these, and so on; an error among them fails its call.

        A call more than that is a ``StubError``.
        """
        self._prepare(iter([outcome_of(self._method, outcome) for outcome in outcomes]))

    def answers_by(self, function: Callable[P, R | Async[R]]) -> None:
        """Answer every call with what this function makes of its arguments, all of them; it may be ``async``.

        It may raise what ``raises`` may be given. Outlasting the call's deadline ends in OutcomeUnknown.
        """
        check_signature(self._method, function)
        self._stub.script.prepared[self._method.name] = ByFunction(self._method, function)

    def _prepare(self, outcomes: Iterator[Outcome]) -> None:
        self._stub.script.prepared[self._method.name] = InOrder(self._method, outcomes)

    @property
    def calls(self) -> list[RecordedCall]:
        """The calls of this method so far, in their order."""
        return [call for call in self._stub.script.calls if call.method == self._method.name]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Async[R]:
        return self._stub.call(self._method, args, kwargs)

    def __repr__(self) -> str:
        return f"<stub of {self._method!r}>"
