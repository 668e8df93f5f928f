"""How a worker logs: one line of fields for every call, never arguments, bodies or secrets."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from worker.settings import WorkerSettings

QUIET = ("aiormq", "aio_pika", "asyncio")
"""What their loggers say of a lost connection, our own says better."""


def configure_logs(settings: WorkerSettings) -> None:
    """Send everything, the libraries' lines too, to standard error in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    render = (
        structlog.dev.ConsoleRenderer() if settings.log_format == "console" else structlog.processors.JSONRenderer()
    )
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=render, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    quiet_drivers()


def quiet_drivers() -> None:
    """Leave it to our own lines to say what became of a connection."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
