"""How a worker logs: one line of fields for every call, never arguments, bodies or secrets."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

import orjson
import structlog

if TYPE_CHECKING:
    from worker.settings import WorkerSettings

WRITE_AFTER_S = 0.02
QUIET = ("aiormq", "aio_pika", "asyncio")
"""What their loggers say of a lost connection, our own says better."""


_log = structlog.get_logger("rowcall.call")
_lines: LineBuffer | None = None
"""Where the lines of calls go straight; None while they go the general way."""


def hold_standard_places() -> None:
    """Fill closed ones of the descriptors 0 to 2, or sockets get them: libuv ends a process that closes such a one."""
    while (taken := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(taken)


def configure_logs(settings: WorkerSettings) -> None:
    """Send everything, the libraries' lines too, to standard error in one form."""
    global _lines  # noqa: PLW0603 - a process has one standard error
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    console = structlog.dev.ConsoleRenderer()
    as_text = console if settings.log_format == "console" else structlog.processors.JSONRenderer()
    as_bytes = structlog.processors.JSONRenderer(serializer=_dumps)
    stream = Stream(sys.stderr)
    buffer = LineBuffer(stream)
    _lines = buffer if settings.log_format == "json" and level <= logging.INFO else None
    structlog.configure(
        processors=[*shared, console if settings.log_format == "console" else as_bytes],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream)  # type: ignore[arg-type]  # it writes and flushes
        if settings.log_format == "console"
        else lambda *_: JsonLogger(buffer),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=as_text, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    quiet_drivers()


def log_calls(calls: Sequence[dict[str, object]], **shared: object) -> None:
    """A line for every call of a message.

    As JSON they are written past structlog: its general way takes longer for a line than the rest of a call's Python.
    """
    if _lines is None:
        for call in calls:
            _log.info("call", **call, **shared)
        return
    shared |= {"event": "call", "level": "info", "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    _lines.write(b"".join([orjson.dumps(call | shared, option=orjson.OPT_APPEND_NEWLINE) for call in calls]))
    _lines.flush()


def quiet_drivers() -> None:
    """Leave it to our own lines to say what became of a connection."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)


class Stream:
    """Standard error, for as long as anybody takes it: that nobody does keeps no call from being answered."""

    def __init__(self, file: IO[str] | None) -> None:
        buffer = getattr(file, "buffer", None)
        self._raw = getattr(buffer, "raw", buffer)  # so that nothing is kept which could not be written

    def write(self, said: str | bytes) -> int:
        """Write all of it, or as much as is taken."""
        left = said.encode(errors="backslashreplace") if isinstance(said, str) else said
        with contextlib.suppress(OSError, ValueError):  # the disk is full; the reader has gone; it is closed
            while self._raw is not None and left and (taken := self._raw.write(left)):
                left = left[taken:]
        return len(said)

    def flush(self) -> None:
        """Nothing is kept."""


class LineBuffer:
    """Writes lines a few milliseconds' worth at a time: a system call for each would cost as much as a call."""

    def __init__(self, file: Stream) -> None:
        self._file = file
        self._lines: list[bytes] = []
        self._scheduled = False
        atexit.register(self.write_out)

    def write(self, line: bytes) -> None:
        """Keep a line for a moment."""
        self._lines.append(line)

    def flush(self) -> None:
        """See to it that what is kept is written soon; at once where no loop runs."""
        if self._scheduled:
            return
        try:
            asyncio.get_running_loop().call_later(WRITE_AFTER_S, self._write_later)
            self._scheduled = True
        except RuntimeError:
            self.write_out()

    def _write_later(self) -> None:
        self._scheduled = False
        self.write_out()

    def write_out(self) -> None:
        """Write what is kept."""
        lines, self._lines = self._lines, []
        if lines:
            self._file.write(b"".join(lines))


class JsonLogger(structlog.BytesLogger):
    """Lets information wait for a moment, and nothing that is worse: it may be the last that is heard of a worker."""

    def __init__(self, buffer: LineBuffer) -> None:
        super().__init__(buffer)  # type: ignore[arg-type]  # it writes and flushes
        self._buffer = buffer

    def at_once(self, message: bytes) -> None:
        """Write it at once, with what came before it."""
        self.msg(message)
        self._buffer.write_out()

    warn = warning = fatal = failure = err = error = critical = exception = at_once


def _dumps(fields: dict[str, Any], default: Any, **_: Any) -> bytes:
    return orjson.dumps(fields, default=default)
