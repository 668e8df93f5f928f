"""``python -m tests.benchmarks.server SYSTEM``: the server side of a peer, in one process. Its place is on stdin."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys

import uvloop

from tests.benchmarks.systems import Place, serve


async def run(system: str, place: Place) -> None:
    work = asyncio.create_task(serve(system, place))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], Place(**json.loads(sys.stdin.readline()))))
