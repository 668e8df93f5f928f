"""Imported first in a worker process: logging and Redis without what they draw in wherever it happens to be installed.

Colours and telemetry that nobody asked for cost a fifth of a second of every start and megabytes of every worker.
Afterwards both can be imported by whoever wants them, a family for instance.
"""

from __future__ import annotations

import sys
from importlib import import_module

UNASKED = ("rich", "opentelemetry")
DRAWN_IN_BY = ("structlog", "redis.asyncio")

if not any(name in sys.modules for name in UNASKED):
    for name in UNASKED:
        sys.modules[name] = None  # type: ignore[assignment]  # by which Python says that it is not installed
    for name in DRAWN_IN_BY:
        import_module(name)
    for name in UNASKED:
        del sys.modules[name]
