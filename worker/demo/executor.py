"""``python -m worker.demo.executor``: one executor process. It knows where RabbitMQ is, and no database.

It takes its order as one line of JSON on standard input, and reports every finished execution as a line on standard
output. Nothing of the worker's own is imported: it would run as well where only ``rowcall-client`` is installed.
"""

from __future__ import annotations

import asyncio
import os
import sys

from rpc_client import AsyncClient, RPCError
from rpc_client.contract.platform import AsyncPlatform
from worker.demo.measured import Measured
from worker.demo.orders import DEADLINE_S, READY, Order, Run
from worker.demo.walk import execute


def main() -> int:
    """Say ready, take the order, fulfil it."""
    refuse_databases()
    tell(READY)
    line = sys.stdin.readline()
    if line:  # else whoever would have ordered has gone
        asyncio.run(fulfil(Order.model_validate_json(line)))
    return 0


def refuse_databases() -> None:
    """An executor that could reach the database by itself would prove nothing."""
    known = [name for name in os.environ if "POSTGRES" in name.upper() or name.upper() == "DATABASE_URL"]
    if known or "asyncpg" in sys.modules:
        raise SystemExit(f"an executor may not know a database, but here are {known or 'the driver of one'}")


async def fulfil(order: Order) -> None:
    """Do every execution of the order, several at once."""
    places = asyncio.Semaphore(order.at_once)
    async with AsyncClient() as client, asyncio.TaskGroup() as group:
        patient = client.with_options(timeout_s=DEADLINE_S)
        for run in order.runs:
            group.create_task(_report(patient, order, run, places))


async def _report(client: AsyncClient, order: Order, run: Run, places: asyncio.Semaphore) -> None:
    async with places:
        measured = Measured(client)
        try:
            await execute(AsyncPlatform(measured), order, run)
        except* RPCError:
            pass  # the report names it; the other executions go on
        tell(measured.report().model_dump_json())


def tell(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
