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
from worker.health import PortError
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
        return _serve(options.processes, reload=options.reload)
    except ValidationError as error:
        code, words = EX_CONFIG, explain(error)
    except REFUSALS as error:
        code, words = EX_CONFIG, str(error)
    except (asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        code = EX_CONFIG
        words = f"PostgreSQL: {error}; `rowcall up` makes a database, ROWCALL_POSTGRES_URL names another"
    except PortError as error:
        code, words = EX_TEMPFAIL, f"{error}; 0 is any free port"
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
        code, words = EX_TEMPFAIL, f"PostgreSQL cannot be used now: {error}"
    print(f"rowcall worker: {words}", file=sys.stderr)
    return code


def _serve(processes: int, *, reload: bool) -> int:
    settings = WorkerSettings()
    configure_logs(settings)
    if processes > 1 or reload:
        # Imported here: a single worker needs no watcher in its memory.
        from worker.supervisor import supervise

        return asyncio.run(supervise(processes, reload=reload))
    arm(settings)
    return uvloop.run(run(settings))


if __name__ == "__main__":
    sys.exit(main())
