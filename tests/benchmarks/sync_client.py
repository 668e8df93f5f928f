"""``python -m tests.benchmarks.sync_client``: one client process whose callers are threads, else as ``client``."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from time import perf_counter
from typing import Any

from tests.benchmarks.systems import Place, connect_sync
from tests.benchmarks.work import WORKLOADS, numbers


def run() -> None:
    job = json.loads(sys.stdin.readline())
    place = Place(**job["place"])
    supply = numbers(job["seed"], job["first_execution"])
    workload = WORKLOADS[job["workload"]]
    with connect_sync(job["system"], place) as api:
        next(workload(api, supply))
        _say({"ready": True})
        times = json.loads(sys.stdin.readline())
        latencies: list[float] = []
        callers = [
            threading.Thread(target=_call, args=(workload(api, supply), times, latencies)) for _ in range(place.callers)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        _say({"latencies_us": [round(latency * 1e6) for latency in latencies]})
        sys.stdin.readline()  # until everybody has been measured


def _call(calls: Iterator[Any], times: dict[str, float], latencies: list[float]) -> None:
    start, stop = times["start"], times["stop"]
    time.sleep(max(times["begin"] - perf_counter(), 0))
    while True:
        began = perf_counter()
        if began >= stop:
            return
        next(calls)  # the call itself: what the workload yields has been waited for
        ended = perf_counter()
        if start <= ended < stop:
            latencies.append(ended - began)


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run()
