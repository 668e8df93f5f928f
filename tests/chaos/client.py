"""``python -m tests.chaos.client --run DIR --number N --seed S --rate R``: one client of a run.

SIGTERM asks it to begin nothing new, learn what became of every call, and end with 0. Its successor, started with the
same words, reads its journal and settles what it left undecided.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import sys
import time
from pathlib import Path

from rpc_client import AsyncClient, ClientSettings
from tests.chaos.calling import Caller, Listening
from tests.chaos.folder import Folder
from tests.chaos.ground import laid, lay
from tests.chaos.history import History, left_open
from tests.chaos.workload import Workload

MOST = 400
"""Calls at the same time: as many as are begun while a server is away. Beyond that, none is."""
BEHIND_S = 1.0
"""A client that stood still does not make up for it."""


async def main(words: argparse.Namespace) -> None:
    folder = Folder(words.run)
    history = History(folder, words.number)
    left = left_open(history.path)
    rng = random.Random(f"{words.seed}/{words.number}/{history.path.stat().st_size}")
    workload = Workload(rng, words.without.split(","))
    settings = ClientSettings(_env_file=None)
    listening = [AsyncClient(settings, transport=Listening(settings, history)) for _ in range(2)]
    async with listening[0] as client, listening[1] as twin:
        caller = Caller(client, twin, history, rng, workload)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, caller.ending.set)
        history.write("started")
        async with asyncio.TaskGroup() as tasks:
            for one in left:
                tasks.create_task(caller.resume(one))
            await _ready(caller, client, settings.prefix, lays=words.number == 0)
            await _drive(caller, workload, rng, words.rate, tasks)


async def _ready(caller: Caller, client: AsyncClient, prefix: str, *, lays: bool) -> None:
    """When the ground is there, or the client is asked to end before it is."""
    work = asyncio.create_task(lay(caller, prefix) if lays else laid(client, prefix))
    ending = asyncio.create_task(caller.ending.wait())
    await asyncio.wait([work, ending], return_when=asyncio.FIRST_COMPLETED)
    ending.cancel()
    if not work.done():
        work.cancel()
        return
    await work


async def _drive(caller: Caller, workload: Workload, rng: random.Random, rate: float, tasks: asyncio.TaskGroup) -> None:
    """Begin calls at this rate, whether or not others are answered, until the client is asked to end."""
    open_calls: set[asyncio.Task[None]] = set()
    due = time.monotonic()
    while not caller.ending.is_set():
        due = max(due, time.monotonic() - BEHIND_S)
        calls = workload.draw()
        if len(open_calls) < MOST:
            for call in calls:
                task = tasks.create_task(caller.perform(call))
                open_calls.add(task)
                task.add_done_callback(open_calls.discard)
        due += sum(rng.expovariate(rate) for _ in calls)
        try:
            await asyncio.wait_for(caller.ending.wait(), max(due - time.monotonic(), 0))
        except TimeoutError:
            continue


def read_words(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.chaos.client")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, default=17.0)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--without", default="")
    return parser.parse_args(words)


def spoil() -> None:
    """Put the bug into this process that the checker's tests want in it, if they do."""
    if os.environ.get("ROWCALL_PLANT"):
        from tests.chaos.plants import plant  # which needs a worker's modules

        plant(client=True)


if __name__ == "__main__":
    spoil()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(main(read_words(sys.argv[1:])))
