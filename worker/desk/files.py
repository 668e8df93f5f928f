"""Dead letters as lines of JSON, and back. What is sealed stays sealed: only the same keys read it elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from rpc_client.errors import InvalidRequest
from worker.calls import hash_arguments
from worker.desk.reading import Reading
from worker.desk.records import DeskError, Letter
from worker.desk.shelf import Kept
from worker.keys import CLEAR, UnreadableError

_NUL = ("\x00", "\\u0000")


class Exported(BaseModel):
    """One line of an export."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    v: Literal[1] = 1
    letter: Letter
    routing_key: Annotated[str, Field(max_length=255)]
    call: dict[str, Any] | None
    """With its secrets masked, for people: an import reads the sealed body."""
    args_hash: Base64Bytes
    body: Base64Bytes
    traceback: Base64Bytes

    @classmethod
    def of(cls, kept: Kept, reading: Reading) -> Exported:
        """A letter as it leaves. DeskError for one that holds secrets and is not sealed."""
        if kept.body.startswith(CLEAR) and reading.holds_secrets(kept):
            raise DeskError(f"dead letter {kept.letter.number} may hold secrets and is not sealed: it stays here")
        return cls.model_construct(
            letter=kept.letter,
            routing_key=kept.routing_key,
            call=reading.redacted(kept)[0],
            args_hash=kept.args_hash,
            body=kept.body,
            traceback=kept.traceback,
        )


def read_lines(lines: Iterable[str], reading: Reading) -> Iterator[Kept]:
    """The letters of an export. DeskError names the first line that is none, or that no key here opens."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _read(line, reading)
            except (ValidationError, UnreadableError, InvalidRequest, DeskError) as error:
                why = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
                raise DeskError(f"line {number}: {why}; nothing was imported") from error


def _read(line: str, reading: Reading) -> Kept:
    if any(nul in line for nul in _NUL):
        raise DeskError("it holds U+0000, which PostgreSQL cannot keep")
    read = Exported.model_validate_json(line)
    letter = replace(read.letter, parent=None)  # its number was another database's
    kept = Kept(letter, read.args_hash, read.routing_key, read.body, read.traceback, None)
    if kept.letter.reason == "malformed":
        reading.line(kept)
        return kept
    call = reading.call(kept)
    if (call.method, hash_arguments(call.method, call.arguments)) != (kept.letter.method, kept.args_hash):
        raise DeskError("its plain columns and its sealed call are not of the same letter")
    return kept
