"""``python -m tests.benchmarks.client``: one client process. Its job is a line of JSON on stdin, its result on stdout.

It connects, makes one call of its workload, says ready, and is told when to begin, when counting starts and when it
stops, on the clock all processes of a machine share. Every caller is a closed loop.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import uvloop

from tests.benchmarks.systems import Place, connect
from tests.benchmarks.work import WORKLOADS, Asked, numbers


async def run() -> None:
    job = json.loads(await _line())
    place = Place(**job["place"])
    supply = numbers(job["seed"], job["first_execution"])
    workload = WORKLOADS[job["workload"]]
    async with connect(job["system"], place) as api:
        await next(workload(api, supply))
        _say({"ready": True})
        times = json.loads(await _line())
        await asyncio.sleep(max(times["begin"] - perf_counter(), 0))
        latencies: list[float] = []
        callers = (_call(workload(api, supply), times, latencies) for _ in range(place.callers))
        await asyncio.gather(*callers)
        _say({"latencies_us": [round(latency * 1e6) for latency in latencies]})
        await _line()  # until everybody has been measured


async def _call(calls: Iterator[Asked], times: dict[str, float], latencies: list[float]) -> None:
    start, stop = times["start"], times["stop"]
    while True:
        began = perf_counter()
        if began >= stop:
            return
        await next(calls)
        ended = perf_counter()
        if start <= ended < stop:
            latencies.append(ended - began)


async def _line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(run())
