"""The demo from its first line to its last."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from rpc_client import AsyncClient, ClientSettings
from rpc_client.contract.platform import AsyncPlatform
from rpc_client.settings import STATE
from worker import servers, stream, topology
from worker.demo.agent import Agent, read_graph
from worker.demo.check import Expected, Findings, look
from worker.demo.cleanup import Cleanup
from worker.demo.crew import EXECUTORS, WORKERS, Crew, DemoError, give_order
from worker.demo.ears import Ears, hearing
from worker.demo.measured import Measured, Tally
from worker.demo.orders import DEADLINE_S, Order, Report
from worker.demo.screen import Screen
from worker.settings import WorkerSettings

FAMILY = "worker.services.platform:family"
USERS = ("ada", "grace", "edsger", "barbara", "tony")
AT_ONCE = 3
"""Executions that one executor runs at the same time."""
RUN_S = 600.0
LAST_EVENT_S = 5.0
GRANT_CENTS = 1000
"""Grants are multiples of this, and leave everybody something."""
SHOWN_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Result:
    """What a run came to."""

    tally: Tally
    expected: Expected
    findings: Findings
    heard: int
    credits_after: int

    @property
    def good(self) -> bool:
        """Whether nothing was lost, nothing happened twice, and no call failed."""
        complete = self.tally.done == self.tally.wanted and self.credits_after == self.expected.left
        return complete and not self.tally.failed and all(check.good for check in self.findings.checks)


async def demonstrate(executions: int, console: Console) -> bool:
    """Perform the demo; whether everything held and nothing of it is left. DemoError when it cannot be performed."""
    screen = Screen(console)
    screen.title(
        f"{executions} executions of an AI agent, on {EXECUTORS} executor processes that hold no database connection."
        f" {WORKERS} workers do the SQL, and one of them is killed half-way."
        " Nothing may get lost, and nothing may happen twice."
    )
    _stop_on_signals(screen)
    with tempfile.TemporaryDirectory(prefix="rowcall-demo-") as folder:
        async with Cleanup(screen.say) as cleanup:
            settings = await _make_room(screen, cleanup)
            crew = await _start_crew(screen, cleanup, Crew(settings, Path(folder)))
            result = await _perform(screen, settings, crew, executions)
            _tell(screen, result)
            screen.step("Cleaning up: the demo's processes, queues and database go, and nothing else.")
    return result.good and not cleanup.left


def _stop_on_signals(screen: Screen) -> None:
    """Ctrl-C and SIGTERM end the demo in order; asking twice does not end it in disorder."""
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        if not task.cancelling():
            screen.say("Stopping. The demo removes what it made; a moment, please.", "yellow")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


async def _make_room(screen: Screen, cleanup: Cleanup) -> WorkerSettings:
    """Find the servers; on them, a database and a prefix that nobody else has."""
    screen.step("Looking for RabbitMQ, PostgreSQL and Redis.")
    state = Path(STATE)
    if not servers.started(state):  # else they were there before us, and stay
        cleanup.later("the private servers", lambda: servers.down(state=state, say=screen.say))
    found = await servers.find(state=state, say=screen.say)

    mark = uuid4().hex[:8]
    database, prefix = f"rowcall_demo_{mark}", f"rowcall-demo-{mark}"
    screen.step(f"Making the database {database} and taking the prefix {prefix}.")
    screen.say("So nothing of yours is touched, and all of this can be removed.")
    cleanup.later(f"database {database}", lambda: servers.drop_database(found.postgres_url, database))
    settings = WorkerSettings.model_validate(
        {
            "amqp_url": found.amqp_url,
            "postgres_url": await servers.create_database(found.postgres_url, database),
            "redis_url": found.redis_url,
            "prefix": prefix,
            "families": [FAMILY],
        }
    )
    cleanup.later(f"queues and exchanges named {prefix}.…", lambda: topology.delete(settings))
    cleanup.later(f"stream {prefix}:events", lambda: stream.delete(settings))
    return settings


async def _start_crew(screen: Screen, cleanup: Cleanup, crew: Crew) -> Crew:
    """Start workers and executors."""
    screen.step(f"Starting {WORKERS} workers and {EXECUTORS} executors, each a process of its own.")
    screen.say("The workers take calls from RabbitMQ and run SQL; the first one creates the tables.")
    screen.say("The executors are told where RabbitMQ is. They are not told where PostgreSQL is.")
    cleanup.later("its processes", crew.stop)
    started = time.perf_counter()
    await crew.start()
    screen.say(f"All of them are ready after {time.perf_counter() - started:.1f} s.")
    return crew


async def _perform(screen: Screen, settings: WorkerSettings, crew: Crew, executions: int) -> Result:
    """Import the agent, run it, and look at the database."""
    fields = settings.model_dump(include=set(ClientSettings.model_fields))
    chosen = ClientSettings.model_validate(fields | {"timeout_s": DEADLINE_S})
    last = f"last-{uuid4()}"
    async with AsyncClient(chosen) as client, hearing(chosen, last) as ears:
        measured = Measured(client)
        platform = AsyncPlatform(measured)
        agent, granted = await _import_agent(screen, platform, executions)
        before = await _credits(platform)
        tally = await _run(screen, crew, agent, executions, ears)
        credits_after = await _credits(platform)
        await platform.create_user(last, f"{last}@example.org")
        with contextlib.suppress(TimeoutError):  # an event may be missed live; then the figures say so
            await asyncio.wait_for(ears.heard_last.wait(), LAST_EVENT_S)
    assert before == granted, "nobody else knows these users"
    screen.step("Asking the database itself: by SQL, past Rowcall.")
    writes = tally.writes + len(measured.report().writes)
    expected = Expected(agent, executions, len(USERS), granted, writes)
    return Result(tally, expected, await look(settings, expected), ears.heard, credits_after)


async def _import_agent(screen: Screen, platform: AsyncPlatform, executions: int) -> tuple[Agent, int]:
    """Make the users, give them credits, import the graph. The agent, and the cents granted in all."""
    screen.step("Making users and importing an agent from its exported file: by calls, like everything from here on.")
    await asyncio.gather(*(platform.create_user(user, f"{user}@example.org") for user in USERS))
    graph = await platform.create_graph(read_graph(USERS[0]))
    await platform.list_graph(graph.id, graph.version)
    agent = Agent(graph)
    most = -(-executions // len(USERS)) * agent.cost
    grant = (most // GRANT_CENTS + 1) * GRANT_CENTS
    await asyncio.gather(*(platform.add_credits(user, grant, "welcome") for user in USERS))
    screen.say(f"It is called “{graph.name}”, has {len(graph.nodes)} nodes and {len(graph.links)} links.")
    screen.say(f"One execution costs {agent.cost} cents; {len(USERS)} users got {grant:,} cents each.")
    return agent, grant * len(USERS)


async def _credits(platform: AsyncPlatform) -> int:
    return sum(await asyncio.gather(*(platform.get_credits(user) for user in USERS)))


async def _run(screen: Screen, crew: Crew, agent: Agent, executions: int, ears: Ears) -> Tally:
    """Deal the executions out, and kill a worker when half of them are done."""
    screen.step(f"Running {executions} executions, {EXECUTORS * AT_ONCE} at a time.")
    runs = agent.runs(executions, list(USERS))
    graph = agent.graph
    orders = [
        Order(graph_id=graph.id, graph_version=graph.version, at_once=AT_ONCE, runs=runs[n::EXECUTORS])
        for n in range(EXECUTORS)
    ]
    tally = Tally(wanted=executions)
    with screen.progress(tally, ears) as board:

        def take(report: Report) -> None:
            tally.add(report)
            board.advance()
            if tally.done == (executions + 1) // 2:
                _kill_a_worker(screen, crew)

        await _all_done(crew, [give_order(*pair, take) for pair in zip(crew.executors, orders, strict=True)])
    return tally


async def _all_done(crew: Crew, work: Sequence[Coroutine[object, object, None]]) -> None:
    """Wait for the executors; not for ever, and not when the one worker that is left ends too."""
    try:
        async with asyncio.timeout(RUN_S), asyncio.TaskGroup() as group:
            guard = group.create_task(crew.workers[-1].must_live())
            await asyncio.gather(*map(group.create_task, work))
            guard.cancel()
    except TimeoutError:
        raise DemoError(f"the executions were not done after {RUN_S:g} s") from None
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


def _kill_a_worker(screen: Screen, crew: Crew) -> None:
    """No warning, no goodbye: its calls stop in the middle of their transactions."""
    victim, survivor = crew.workers
    victim.process.kill()
    screen.say(f"Half are done: {victim.name} (pid {victim.process.pid}) was killed with SIGKILL, at work.", "bold red")
    screen.say(
        f"Nobody starts it again. RabbitMQ hands what it held to {survivor.name}, and where it had committed already,"
        " its receipt answers instead of a second run.",
        "red",
    )


def _tell(screen: Screen, result: Result) -> None:
    """The figures and the verdict."""
    tally, expected = result.tally, result.expected
    screen.findings(result.findings.checks)
    screen.figures(
        {
            "calls": f"{tally.calls:,}",
            "calls per second": f"{tally.rate:,.0f}",
            "p50 · p99 · slowest": " · ".join(f"{tally.slowest_of(share):,.1f} ms" for share in (0.5, 0.99, 1)),
            "executions": f"{tally.done} of {tally.wanted}",
            "credits before": f"{expected.granted:,} cents",
            "credits after": f"{result.credits_after:,} cents; must be {expected.left:,}",
            "events heard live": f"{result.heard:,} of {result.findings.events:,} committed",
            "failed calls": f"{len(tally.failed):,}",
        }
    )
    for failure in tally.failed[:SHOWN_FAILURES]:
        screen.say(failure, "red")
    if result.heard < result.findings.events:
        screen.say("Live events wait for nobody: some ended with the killed worker. They stand in the receipts.")
