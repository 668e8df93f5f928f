"""``python -m worker``: one worker process, or several under a supervisor. ``rowcall worker`` is the same."""

from __future__ import annotations

import argparse
import asyncio
import sys

import asyncpg
import uvloop
from pydantic import ValidationError

import worker.lean  # noqa: F401 - before anything that imports what it keeps out
from rpc_client.connection import SetupRefusedError
from worker.app import run
from worker.crash_points import CrashPointsError, arm
from worker.keys import KeysError
from worker.logs import configure_logs, hold_standard_places
from worker.migrations import MigrationError
from worker.registry import RegistryError
from worker.settings import WorkerSettings, explain
from worker.statements import StatementError

EX_CONFIG = 78
EX_TEMPFAIL = 75
REFUSALS = (RegistryError, StatementError, MigrationError, SetupRefusedError, KeysError, CrashPointsError)


def main() -> int:
    """Serve until told to stop. 78 when something must be put right first, 75 when trying again may help."""
    parser = argparse.ArgumentParser(prog="rowcall worker", description="Serve calls until SIGTERM.")
    parser.add_argument(
        "--processes", type=int, default=1, help="how many, each with its own pool; a dead one is replaced"
    )
    parser.add_argument("--reload", action="store_true", help="start anew whenever code changes; for development")
    options = parser.parse_args()
    hold_standard_places()
    try:
        settings = WorkerSettings()
        configure_logs(settings)
        if options.processes > 1 or options.reload:
            # Imported here: a single worker needs no watcher in its memory.
            from worker.supervisor import supervise

            return asyncio.run(supervise(options.processes, reload=options.reload))
        arm(settings)
        return uvloop.run(run(settings))
    except ValidationError as error:
        print(f"rowcall worker: {explain(error)}", file=sys.stderr)
        return EX_CONFIG
    except REFUSALS as error:
        print(f"rowcall worker: {error}", file=sys.stderr)
        return EX_CONFIG
    except (asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        print(
            f"rowcall worker: PostgreSQL: {error}; `rowcall up` makes a database, ROWCALL_POSTGRES_URL names another",
            file=sys.stderr,
        )
        return EX_CONFIG
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        print(f"rowcall worker: PostgreSQL cannot be used now: {error}", file=sys.stderr)
        return EX_TEMPFAIL


if __name__ == "__main__":
    sys.exit(main())
