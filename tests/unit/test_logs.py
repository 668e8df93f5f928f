"""What a worker said before it died is there to be read."""

from __future__ import annotations

from pathlib import Path

from worker.logs import JsonLogger, LineBuffer, Stream


async def test_a_warning_is_written_at_once_with_what_was_said_before_it(tmp_path: Path):
    path = tmp_path / "log"
    with path.open("w") as file:
        logger = JsonLogger(LineBuffer(Stream(file)))

        logger.info(b"a call")
        kept = path.read_bytes()
        logger.warning(b"a loss")
        logger.info(b"another call")

        assert (kept, path.read_bytes()) == (b"", b"a call\na loss\n")
