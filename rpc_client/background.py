"""``Background``: one thread with one event loop, in which the sync clients of a process do their work.

A call made in any thread is put on a deque, and the loop is woken once for all that lie there: what threads ask in
the same moment begins in one tick and so travels together, as it would among tasks.

It survives fork: a child has a loop and connections of its own, begun with its first call, and never touches those of
its parent. It ends with the interpreter: threads that are joined at exit can still call; then connections are closed.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import selectors
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Generic, TypeVar

from rpc_client.client import AsyncClient
from rpc_client.contract import Method
from rpc_client.errors import Disconnected, InsideEventLoop, OutcomeUnknown

R = TypeVar("R")
Work = Callable[[], Coroutine[Any, Any, R]]

LOOK_S = 1.0
"""A thread that waits looks this often whether the loop is still there to wake it."""
STOP_S = 5.0


class Job(Generic[R]):
    """One piece of work, and the thread that waits for it."""

    __slots__ = ("_abandoned", "_error", "_result", "_task", "_work", "done")

    def __init__(self, work: Work[R]) -> None:
        self._work = work
        self._result: R
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self._abandoned = False
        self.done = threading.Lock()
        """Held until the outcome is there: the cheapest thing that one thread can wait for and another end."""
        self.done.acquire()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do it, in the loop's thread."""
        if not self._abandoned:
            self._task = loop.create_task(self._run())

    def abandon(self) -> None:
        """Nobody waits any more. In the loop's thread."""
        self._abandoned = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            self._result = await self._work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the waiting thread's
            self._error = error
        finally:
            self.done.release()

    def outcome(self) -> R:
        """What it came to, in the thread that waited."""
        if self._error is None:
            return self._result
        try:
            if isinstance(self._error, asyncio.CancelledError):
                raise OutcomeUnknown("the clients' event loop ended while this waited; it may have run")
            raise self._error
        finally:
            self._error = None  # its traceback holds this frame, which holds it


class Background:
    """The loop and its thread. ``Background.current()`` is this process's own."""

    _current: ClassVar[Background | None] = None
    _starting: ClassVar[threading.Lock] = threading.Lock()
    _parents: ClassVar[list[Background]] = []
    """Those of the processes this one was forked from. They must not be torn down here: their thread is elsewhere."""
    _over: ClassVar[bool] = False

    def __init__(self) -> None:
        self._jobs: deque[Job[Any]] = deque()
        self._woken = False
        self._clients: set[AsyncClient] = set()
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.SelectorEventLoop(self._selector)
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="rowcall clients", daemon=True)
        self._thread.start()

    @classmethod
    def current(cls) -> Background:
        """This process's, started when it is first needed. Disconnected once the interpreter ends."""
        found = cls._current
        if found is None:
            with cls._starting:
                if cls._over:
                    raise Disconnected("the interpreter is ending; the clients' connections are closed")
                found = cls._current = cls._current or cls()
        return found

    @classmethod
    def running(cls) -> Background | None:
        """This process's, if it has been needed."""
        return cls._current

    @property
    def is_current(self) -> bool:
        """Whether it is this process's own, and has not ended."""
        return Background._current is self

    def run(self, work: Work[R]) -> R:
        """Do this in the loop and wait for it. InsideEventLoop in a thread that runs an event loop itself.

        Whatever interrupts the wait, as Ctrl-C does, also cancels the work.
        """
        refuse_inside_a_loop()
        job = Job(work)
        try:
            self._jobs.append(job)
            if not self._woken:
                self._woken = True
                self._wake(self._begin)
            while not job.done.acquire(timeout=LOOK_S):
                if not self._thread.is_alive():
                    raise Disconnected("the clients' event loop has ended")
                self._wake(self._begin)  # once more: an interrupt may have come before the first
        except BaseException:
            self._wake(job.abandon)
            raise
        return job.outcome()

    def _begin(self) -> None:
        # Whoever puts a job on the deque from here on sees that the loop must be woken again.
        self._woken = False
        while self._jobs:
            self._jobs.popleft().begin(self._loop)

    def adopt(self, client: AsyncClient) -> AsyncClient:
        """Close this client at the end, unless it is dropped before. In the loop's thread."""
        self._clients.add(client)
        return client

    async def drop(self, client: AsyncClient) -> None:
        """Close it now."""
        self._clients.discard(client)
        await client.close()

    def drop_soon(self, client: AsyncClient) -> None:
        """Close it, without waiting for that. From any thread, even one that is collecting garbage."""
        self._wake(lambda: Job(lambda: self.drop(client)).begin(self._loop))

    def _wake(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop is closed: nothing of its is left to do
            self._woken = False

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self._stopping.wait()
        await asyncio.gather(*(client.close() for client in self._clients))
        self._clients.clear()

    def _stop(self) -> None:
        self._wake(self._stopping.set)
        self._thread.join(STOP_S)

    def _let_go(self) -> None:
        """In a forked child: give up our copies of the parent's descriptors, without a word to what they lead to.

        A connection ends when nobody holds it any more, so a child that kept its copy would keep its parent's open.
        """
        fds = [self._selector.fileno()] if isinstance(self._selector, selectors.EpollSelector) else []
        fds += [fd for client in self._clients if (fd := client.fileno()) is not None]
        nothing = os.open(os.devnull, os.O_RDWR)
        for fd in fds:
            os.dup2(nothing, fd, inheritable=False)
        os.close(nothing)

    @classmethod
    def _forked(cls) -> None:
        # A thread of the parent's may have held any of these, and will never give it back here.
        cls._starting = threading.Lock()
        for kept in [*vars(Method).values(), *vars(AsyncClient).values()]:
            if isinstance(kept, functools.cached_property) and hasattr(kept, "lock"):  # Python 3.11 has one in each
                vars(kept)["lock"] = threading.RLock()
        if cls._current is not None:
            parents, cls._current = cls._current, None
            cls._parents.append(parents)
            parents._let_go()  # noqa: SLF001 - it is one of us

    @classmethod
    def _at_exit(cls) -> None:
        with cls._starting:
            cls._over = True
            ending, cls._current = cls._current, None
        if ending is not None:
            ending._stop()  # noqa: SLF001


def refuse_inside_a_loop() -> None:
    """InsideEventLoop where this thread runs an event loop: waiting here would stop everything in it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise InsideEventLoop(
        "a sync client was called in a thread that runs an event loop, which would stand still; the call did not run:"
        " use AsyncClient there, or await asyncio.to_thread(…)"
    )


# Registered when this is imported, so that it runs after what programs register later, which may call.
atexit.register(Background._at_exit)  # noqa: SLF001 - one of us  # pyright: ignore[reportPrivateUsage]
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Background._forked)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
